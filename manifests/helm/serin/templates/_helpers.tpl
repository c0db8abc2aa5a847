{{/* What objects are called: the release's name, with the chart's in it. */}}
{{- define "serin.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "serin.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "serin.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* By these the agents' pods are known: to their Service, and to one another. */}}
{{- define "serin.selector" -}}
app.kubernetes.io/name: serin
{{- end -}}

{{- define "serin.labels" -}}
{{ include "serin.selector" . }}
app.kubernetes.io/part-of: serin
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "serin.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The agent's configuration file. */}}
{{- define "serin.config" -}}
{{- toYaml .Values.config -}}
{{- end -}}

{{/* Another configuration is another ConfigMap, so that a change starts the agents anew, one after the other. */}}
{{- define "serin.configName" -}}
{{- printf "%s-config-%s" (include "serin.fullname" .) (include "serin.config" . | sha256sum | trunc 10) -}}
{{- end -}}

{{/* Where proxies reach the agents. */}}
{{- define "serin.moduleBase" -}}
{{- printf "http://%s.%s.svc.%s" (include "serin.fullname" .) .Release.Namespace .Values.clusterDomain -}}
{{- end -}}

{{/* The agent's rules, as the base has them: in one namespace, without those for namespaces themselves. */}}
{{- define "serin.rules" -}}
{{- range splitList "\n---\n" (.Files.Get "files/rbac.yaml") -}}
{{- $role := fromYaml . -}}
{{- if and (eq $role.kind "ClusterRole") (eq $role.metadata.name "serin") -}}
{{- range $role.rules -}}
{{- $of_no_namespace := or (has "namespaces" .resources) (has "validatingadmissionpolicies" .resources) (has "tokenreviews" .resources) (has "subjectaccessreviews" .resources) }}
{{- if not (and $.Values.scope.namespace $of_no_namespace) }}
{{ list . | toYaml }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
