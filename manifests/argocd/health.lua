-- How a Release is, for Argo CD. It goes by the conditions, which mean what docs/status.md says.
local health = { status = "Progressing", message = "waiting for Serin's agent" }
if obj.status == nil or obj.status.conditions == nil then
  return health
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end

local accepted, ready = conditions.Accepted, conditions.Ready
if accepted == nil or ready == nil then
  return health
end
-- What is said of an older spec is not about this one. A rejection counts at once.
if accepted.observedGeneration ~= nil and accepted.observedGeneration ~= obj.metadata.generation then
  health.message = "waiting for Serin's agent to read the new spec"
  return health
end

health.message = obj.status.message
-- What a person has to say, though nothing is wrong.
local word = { Paused = true, Suspended = true, AwaitsApproval = true, AwaitsCutover = true, StableChanged = true }
if conditions.Stalled ~= nil and conditions.Stalled.status == "True" then
  health.status = "Degraded"
  health.message = conditions.Stalled.message
elseif ready.status == "True" then
  health.status = "Healthy"
elseif ready.status == "False" then
  -- It goes back to stable.
  health.status = "Degraded"
elseif conditions.Progressing ~= nil and word[conditions.Progressing.reason] then
  health.status = "Suspended"
end
return health
