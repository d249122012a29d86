{{- define "gatepost.name" -}}
{{- if contains "gatepost" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-gatepost" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "gatepost.chosen" -}}
app.kubernetes.io/name: gatepost
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gatepost.labels" -}}
{{ include "gatepost.chosen" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* Whether anything is shared with other replicas: then secrets are shared, too. */ -}}
{{- define "gatepost.shared" -}}
{{- if or .Values.database .Values.tokenStore }}yes{{ end }}
{{- end }}

{{- /* A secret as given, else as an earlier install made it, else made; the same wherever one rendering asks for it. */ -}}
{{- define "gatepost.secret" -}}
{{- $root := index . 0 }}{{ $key := index . 1 }}{{ $given := index . 2 }}
{{- $made := get $root.Values "made" | default dict }}
{{- if not (hasKey $made $key) }}
{{- $old := lookup "v1" "Secret" $root.Release.Namespace (include "gatepost.name" $root) | default dict }}
{{- $kept := get (get $old "data" | default dict) $key | default "" | b64dec }}
{{- $_ := set $made $key ($given | default $kept | default (randAlphaNum 64 | sha256sum)) }}
{{- $_ := set $root.Values "made" $made }}
{{- end }}
{{- get $made $key }}
{{- end }}

{{- define "gatepost.ports" -}}
{ "nginx": 9001, "traefik": 9002, "caddy": 9003, "haproxy": 9004, "envoy": 9005 }
{{- end }}

{{- define "gatepost.config" -}}
{{- $ports := include "gatepost.ports" . | fromJson }}
{{- $gates := list }}
{{- range .Values.proxies }}
{{- $gates = append $gates (dict "proxy" . "listen" (printf "0.0.0.0:%d" (int (get $ports .))) "secret" (dict "file" "/secrets/proxy-secret")) }}
{{- end }}
{{- $config := dict "gates" $gates "admin" (dict "listen" "0.0.0.0:8000" "trusted_proxies" .Values.trustedProxies) "metrics" (dict "listen" "0.0.0.0:9464") "data" "/data" "rules" "rules.yaml" }}
{{- if include "gatepost.shared" . }}{{ $_ := set $config "secret_key" (dict "file" "/secrets/secret-key") }}{{ end }}
{{- if .Values.database }}{{ $_ := set $config "database" (dict "file" "/secrets/database") }}{{ end }}
{{- if .Values.tokenStore }}{{ $_ := set $config "tokens" (dict "store" (dict "file" "/secrets/token-store")) }}{{ end }}
{{- mustMergeOverwrite $config (deepCopy .Values.config) | toYaml }}
{{- end }}
