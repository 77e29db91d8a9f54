/** What `npm start` has brought up; each URL without a slash at its end. */
export interface Running {
  readonly envoy: string;
  readonly envoyAdmin: string;
  readonly keyApi: string;
  readonly ops: string;
  readonly upstream: string;
  readonly key: string;
  readonly expiresAt: string;
}

/** The page that `npm start` ends with: where everything is, and commands that work as they stand. */
export function welcome(running: Running): string {
  const { envoy, keyApi, key } = running;
  const bearer = `-H "Authorization: Bearer $KEY"`;
  const registration = `-H 'Content-Type: application/json' -d '{"name":"my-app","key_type":"basic"}'`;
  const tries: readonly (readonly [string, string])[] = [
    ["200, and what the upstream saw of the request", `curl -i ${bearer} ${envoy}/v1/chat/hello`],
    ["401: no key", `curl -i ${envoy}/v1/chat/hello`],
    ["403: a basic key may not do this", `curl -i ${bearer} ${envoy}/v1/models/x`],
    ["200: a public route needs no key", `curl -i ${envoy}/healthz`],
    ["200: what the key is", `curl -i ${bearer} ${keyApi}/api/auth/v2/validate`],
    ["201: a key of your own", `curl -i ${registration} ${keyApi}/api/auth/v2/register`],
  ];
  return [
    "",
    "Latchkey is running.",
    "",
    `  Envoy        ${envoy}`,
    `  key API      ${keyApi}   (described at ${keyApi}/docs)`,
    `  metrics      ${running.ops}/metrics`,
    `  upstream     ${running.upstream}   (the service that Envoy guards)`,
    `  Envoy admin  ${running.envoyAdmin}`,
    "",
    `Try, in another terminal. First a key of the role basic, just registered, good until ${running.expiresAt}:`,
    "",
    `  KEY=${key}`,
    "",
    ...tries.flatMap(([what, command]) => [`  ${what}`, `    ${command}`, ""]),
    "Ctrl-C stops everything.",
    "",
  ].join("\n");
}
