{{/* What the schema cannot say, since it compares values with one another; and what is not safe unless somebody says so. */}}
{{- define "latchkey.contradictions" -}}
{{- if and .Values.policy .Values.policyConfigMap -}}
{{- fail "policy and policyConfigMap are both given: give one" -}}
{{- end -}}
{{- $open := not (or .Values.networkPolicy.enabled .Values.tls.grpc.secretName .Values.allowOpenGrpc) -}}
{{- if and (eq .Values.mode "service") $open -}}
{{- fail "the gRPC listener would be in clear text and open to every pod of the cluster: set networkPolicy.enabled with networkPolicy.grpcFrom, or tls.grpc.secretName, or allowOpenGrpc where a mesh or a policy of yours decides who may connect" -}}
{{- end -}}
{{- if eq (int .Values.sidecar.port) (int .Values.sidecar.upstreamPort) -}}
{{- fail "sidecar.port and sidecar.upstreamPort are one port: Envoy and what it serves need two" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (lt (int .Values.autoscaling.maxReplicas) (int .Values.autoscaling.minReplicas)) -}}
{{- fail "autoscaling.maxReplicas is below minReplicas" -}}
{{- end -}}
{{- end }}
