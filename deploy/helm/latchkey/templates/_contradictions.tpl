{{/* What the schema cannot say, since it compares values with one another. */}}
{{- define "latchkey.contradictions" -}}
{{- if and .Values.policy .Values.policyConfigMap -}}
{{- fail "policy and policyConfigMap are both given: give one" -}}
{{- end -}}
{{- if eq (int .Values.sidecar.port) (int .Values.sidecar.upstreamPort) -}}
{{- fail "sidecar.port and sidecar.upstreamPort are one port: Envoy and what it serves need two" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (lt (int .Values.autoscaling.maxReplicas) (int .Values.autoscaling.minReplicas)) -}}
{{- fail "autoscaling.maxReplicas is below minReplicas" -}}
{{- end -}}
{{- end }}
