/** The programs that `npm start` has started. URLs have no trailing slash. */
export interface Running {
  readonly envoy: string;
  readonly envoyAdmin: string;
  readonly keyApi: string;
  readonly ops: string;
  readonly upstream: string;
  readonly key: string;
  readonly expiresAt: string;
}

/** The text that `npm start` prints when everything runs: the addresses, and commands to copy. */
export function welcome(running: Running): string {
  const { envoy, keyApi, key } = running;
  const bearer = `-H "Authorization: Bearer $KEY"`;
  const registration = `-H 'Content-Type: application/json' -d '{"name":"my-app","key_type":"basic"}'`;
  const tries: readonly (readonly [string, string])[] = [
    ["200, with the request as the upstream received it", `curl -i ${bearer} ${envoy}/v1/chat/hello`],
    ["401: no key", `curl -i ${envoy}/v1/chat/hello`],
    ["403: a basic key lacks the scope", `curl -i ${bearer} ${envoy}/v1/models/x`],
    ["200: a public route needs no key", `curl -i ${envoy}/healthz`],
    ["200: the properties of the key", `curl -i ${bearer} ${keyApi}/api/auth/v2/validate`],
    ["201: your own key", `curl -i ${registration} ${keyApi}/api/auth/v2/register`],
  ];
  return [
    "",
    "Latchkey is running.",
    "",
    `  Envoy        ${envoy}`,
    `  key API      ${keyApi}   (described at ${keyApi}/docs)`,
    `  metrics      ${running.ops}/metrics`,
    `  upstream     ${running.upstream}   (the service behind Envoy)`,
    `  Envoy admin  ${running.envoyAdmin}`,
    "",
    `Try these commands in another terminal. This new key of the role basic is valid until ${running.expiresAt}:`,
    "",
    `  KEY=${key}`,
    "",
    ...tries.flatMap(([what, command]) => [`  ${what}`, `    ${command}`, ""]),
    "Ctrl-C stops everything.",
    "",
  ].join("\n");
}
