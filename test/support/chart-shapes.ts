import { readFileSync } from "node:fs";
import type { Values } from "./chart.ts";

const policy = readFileSync(new URL("../../latchkey.yaml", import.meta.url), "utf8");
const monitoring = { monitors: true, rules: true, dashboard: true, labels: { release: "prometheus" } };
const from = (name: string) => [
  { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } } },
];

const SECRETS = ["JWT_SECRET", "KEY_HASH_SECRET", "AUDIT_KEY", "ADMIN_TOKEN"];

/** The minimum values that render: the peers that may call gRPC. */
export const LEAST: Values = { networkPolicy: { grpcFrom: from("ingress") } };

/** Every shape of the chart's values: both branches of each `if`. */
export const SHAPES: Readonly<Record<string, Values>> = {
  "with the least that it needs": LEAST,
  "in a mesh that decides who may connect": { allowOpenGrpc: true },
  "for other proxies, in a mesh": {
    allowOpenGrpc: true,
    forwardAuth: { enabled: true, allowOpen: true },
    settings: { ALLOW_CLEARTEXT: "grpc, http, auth" },
  },
  "with all that it can have": {
    image: { repository: "registry.example.com/latchkey", digest: `sha256:${"0".repeat(64)}` },
    imagePullSecrets: [{ name: "registry" }],
    policy,
    settings: { ALLOW_CLEARTEXT: "", LOG_LEVEL: "warn", JWT_ISSUER: "example", GRPC_TRUSTED_HOPS: 1 },
    tls: {
      grpc: { secretName: "grpc-tls", clientCa: true },
      http: { secretName: "http-tls" },
      auth: { secretName: "auth-tls", clientCa: true },
    },
    forwardAuth: { enabled: true },
    podAnnotations: { "example.com/a": "b" },
    podLabels: { team: "platform" },
    extraVolumes: [{ name: "ca", configMap: { name: "redis-ca" } }],
    extraVolumeMounts: [{ name: "ca", mountPath: "/etc/redis-ca", readOnly: true }],
    monitoring,
    autoscaling: { enabled: true },
    podDisruptionBudget: { maxUnavailable: "50%" },
    serviceAccount: { name: "keys", annotations: { "example.com/role": "keys" } },
    nodeSelector: { "kubernetes.io/arch": "amd64" },
    tolerations: [{ key: "dedicated", operator: "Exists", effect: "NoSchedule" }],
    affinity: { nodeAffinity: {} },
    topologySpreadConstraints: [
      { topologyKey: "kubernetes.io/hostname", maxSkew: 2, whenUnsatisfiable: "DoNotSchedule" },
    ],
    priorityClassName: "system-cluster-critical",
    networkPolicy: {
      grpcFrom: from("ingress"),
      authFrom: from("nginx"),
      httpFrom: from("web"),
      opsFrom: from("monitoring"),
      egress: [{ ports: [{ port: 6379, protocol: "TCP" }], to: from("redis") }],
    },
  },
  "with what others have made": {
    fullnameOverride: "keys",
    policyConfigMap: "our-policy",
    secrets: ["JWT_KEYS", "JWT_SECRET_PREVIOUS", "KEY_HASH_SECRET", "AUDIT_KEY", "ADMIN_TOKEN"],
    secretsElsewhere: { REDIS_PASSWORD: { name: "redis-auth", key: "password" } },
    settings: {
      ALLOW_CLEARTEXT: "http",
      REDIS_HOST: "redis",
      REDIS_USERNAME: "latchkey",
      REDIS_TLS: true,
    },
    tls: { grpc: { secretName: "grpc-tls" } },
    serviceAccount: { create: false },
    podDisruptionBudget: { enabled: false },
    networkPolicy: { enabled: false },
    replicas: 1,
    drainSeconds: 60,
  },
  "with Sentinel": {
    secrets: [...SECRETS, "REDIS_PASSWORD", "REDIS_SENTINEL_PASSWORD"],
    settings: {
      ALLOW_CLEARTEXT: "grpc,http",
      REDIS_SENTINELS: "sentinel-0.redis:26379,sentinel-1.redis:26379,sentinel-2.redis:26379",
      REDIS_SENTINEL_MASTER: "mymaster",
      REDIS_USERNAME: "latchkey",
      REDIS_SENTINEL_USERNAME: "latchkey",
    },
    networkPolicy: {
      enabled: true,
      grpcFrom: from("ingress"),
      egress: [{ ports: [6379, 26_379].map((port) => ({ port, protocol: "TCP" })), to: from("redis") }],
    },
  },
  "with a Redis Cluster": {
    ...LEAST,
    secrets: [...SECRETS, "REDIS_PASSWORD"],
    settings: {
      ALLOW_CLEARTEXT: "grpc,http",
      REDIS_CLUSTER: true,
      REDIS_HOST: "redis-0.redis:6379,redis-1.redis:6379,redis-2.redis:6379",
      REDIS_USERNAME: "latchkey",
      REDIS_TLS: true,
    },
  },
  "as sidecars": { mode: "sidecar" },
  "as sidecars, with the demo": {
    mode: "sidecar",
    policy,
    monitoring,
    sidecar: { port: 15000, upstreamPort: 3000, demo: { enabled: true } },
    forwardAuth: { enabled: true },
  },
};
