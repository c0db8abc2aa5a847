-- Which commands make sense for a Release as it is; Argo CD shows the others in grey.
local phase, reason, stalled = "Idle", "", ""
if obj.status ~= nil then
  phase = obj.status.phase or phase
  for _, condition in ipairs(obj.status.conditions or {}) do
    if condition.type == "Progressing" and condition.status == "False" then
      reason = condition.reason
    elseif condition.type == "Stalled" and condition.status == "True" then
      stalled = condition.reason
    end
  end
end

local under_way = {
  Preparing = true, Starting = true, Progressing = true, OffPlan = true, Baking = true, Promoting = true,
}
local resumes = {
  Paused = true, AwaitsApproval = true, AwaitsCutover = true, AwaitsCleanup = true, StableChanged = true, StablePutBack = true,
}
local ended = { RolledBack = true, Aborted = true }

local is_under_way = under_way[phase] == true
-- Everybody is on the new version then, and there is a way back.
local is_keeping = phase == "Keeping"
return {
  pause = { disabled = not (is_keeping or is_under_way) or reason == "Paused" },
  resume = { disabled = not ((is_keeping or is_under_way) and resumes[reason] == true) },
  promote = { disabled = not is_under_way or phase == "Promoting" },
  abort = { disabled = not (is_keeping or is_under_way) },
  retry = { disabled = not (ended[phase] == true or stalled == "StableReplaced") },
}
