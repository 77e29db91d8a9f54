{{/* The environment: the values of the chart, which `settings` overrides, and a path for every secret. */}}
{{- define "latchkey.environment" -}}
{{- $host := ternary "127.0.0.1" "0.0.0.0" (eq .Values.mode "sidecar") -}}
{{- $environment := dict
  "GRPC_LISTEN" (printf "%s:9191" $host)
  "HTTP_LISTEN" (printf "%s:8000" $host)
  "OPERATOR_LISTEN" "127.0.0.1:8001"
  "OPS_LISTEN" "0.0.0.0:9464"
  "DRAIN_SECONDS" (ternary "0" (toString .Values.drainSeconds) (eq .Values.mode "sidecar"))
  "AUDIT_FILE" "off"
  "DATA_DIR" "/data" -}}
{{- if .Values.forwardAuth.enabled -}}
{{- $_ := set $environment "AUTH_LISTEN" (printf "%s:9192" $host) -}}
{{- end -}}
{{- if include "latchkey.policyConfigMap" . -}}
{{- $_ := set $environment "POLICY_FILE" "/etc/latchkey/policy/latchkey.yaml" -}}
{{- end -}}
{{- range $name := .Values.secrets -}}
{{- $_ := set $environment (printf "%s_FILE" $name) (printf "/run/secrets/latchkey/%s" $name) -}}
{{- end -}}
{{- range $name, $_ := .Values.secretsElsewhere -}}
{{- $_ := set $environment (printf "%s_FILE" $name) (printf "/run/secrets/latchkey/%s" $name) -}}
{{- end -}}
{{- range $listener, $tls := .Values.tls -}}
{{- if $tls.secretName -}}
{{- $_ := set $environment (printf "%s_TLS_CERT" (upper $listener)) (printf "/run/tls/%s/tls.crt" $listener) -}}
{{- $_ := set $environment (printf "%s_TLS_KEY" (upper $listener)) (printf "/run/tls/%s/tls.key" $listener) -}}
{{- if $tls.clientCa -}}
{{- $_ := set $environment (printf "%s_TLS_CLIENT_CA" (upper $listener)) (printf "/run/tls/%s/ca.crt" $listener) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := .Values.settings -}}
{{- $_ := set $environment $name (toString $value) -}}
{{- end -}}
{{- range $name, $value := $environment }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}

{{/* The fields of the container that a service and a sidecar share. */}}
{{- define "latchkey.container" -}}
name: latchkey
image: {{ include "latchkey.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env: {{- include "latchkey.environment" . | trim | nindent 2 }}
ports:
  - { name: grpc, containerPort: 9191 }
  - { name: http, containerPort: 8000 }
  {{- if .Values.forwardAuth.enabled }}
  - { name: auth, containerPort: 9192 }
  {{- end }}
  - { name: ops, containerPort: 9464 }
# Not /readyz: a Latchkey that waits for Redis must not be restarted. It responds from the start, and denies.
startupProbe:
  httpGet: { path: /livez, port: ops }
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /livez, port: ops }
  periodSeconds: 10
  timeoutSeconds: 3
readinessProbe:
  httpGet: { path: /readyz, port: ops }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
securityContext:
  runAsUser: 10001
  runAsGroup: 10001
  {{- include "latchkey.containerSecurity" . | nindent 2 }}
resources: {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - { name: latchkey-secrets, mountPath: /run/secrets/latchkey, readOnly: true }
  - { name: latchkey-data, mountPath: /data }
  {{- if include "latchkey.policyConfigMap" . }}
  # A folder without subPath, so that a new version is mounted.
  - { name: latchkey-policy, mountPath: /etc/latchkey/policy, readOnly: true }
  {{- end }}
  {{- range $listener, $tls := .Values.tls }}
  {{- if $tls.secretName }}
  - { name: latchkey-tls-{{ $listener }}, mountPath: /run/tls/{{ $listener }}, readOnly: true }
  {{- end }}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "latchkey.volumes" -}}
- name: latchkey-secrets
  projected:
    # Only Latchkey's container mounts them, and it is not in a group of the pod.
    defaultMode: 0444
    sources:
      - secret:
          name: {{ .Values.secretName }}
          items:
            {{- range .Values.secrets }}
            - { key: {{ . }}, path: {{ . }} }
            {{- end }}
      {{- range $name, $place := .Values.secretsElsewhere }}
      - secret:
          name: {{ $place.name }}
          items: [{ key: {{ $place.key | quote }}, path: {{ $name }} }]
      {{- end }}
# Contains nothing that must be kept: keys are in Redis.
- { name: latchkey-data, emptyDir: { sizeLimit: 64Mi } }
{{- with include "latchkey.policyConfigMap" . }}
- { name: latchkey-policy, configMap: { name: {{ . }} } }
{{- end }}
{{- range $listener, $tls := .Values.tls }}
{{- if $tls.secretName }}
- { name: latchkey-tls-{{ $listener }}, secret: { secretName: {{ $tls.secretName }}, defaultMode: 0444 } }
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "latchkey.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "latchkey.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end }}
