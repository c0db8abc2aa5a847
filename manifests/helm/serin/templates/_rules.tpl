{{/* What the agent may do in the namespaces of Releases. */}}
{{- define "serin.rules" -}}
# Releases: read, take commands from annotations, hold and let go of them by a finalizer, say how they are. `update` is what
# manifests/commands asks of whoever changes more than a command.
- apiGroups: [serin.dev]
  resources: [releases]
  verbs: [get, list, watch, patch, update]
- apiGroups: [serin.dev]
  resources: [releases/status]
  verbs: [get, patch]
# Metrics that Releases share.
- apiGroups: [serin.dev]
  resources: [metrictemplates]
  verbs: [get, list, watch]
# Versions: see what runs, scale it, copy the canary's template to stable.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, patch]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, patch]
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch, patch]
# ConfigMaps: whether one that a version uses has changed in mid-run.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
# Proxies and Services: which there are, and where.
- apiGroups: [""]
  resources: [pods, services]
  verbs: [get, list, watch]
# The canary's Service, where a Release names one that is not there.
- apiGroups: [""]
  resources: [services]
  verbs: [create, patch, delete]
{{- if not .Values.scope.namespace }}
# Namespaces: whether one is being deleted, and whether it lets another one's Releases have its hosts.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end }}
# The filter and the routes; a Gateway only tells which proxies are its own, a Sidecar what callers see.
- apiGroups: [extensions.istio.io]
  resources: [wasmplugins]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.istio.io]
  resources: [virtualservices, destinationrules]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.istio.io]
  resources: [gateways, sidecars]
  verbs: [get, list, watch]
# What was done and why, for `kubectl describe release`.
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
