import { matchesGlob } from "node:path";

/** The files of one folder whose changes certain tests must notice. */
export interface MutantGroup {
  readonly name: string;
  /** A glob of the sources that can be mutated with these tests. */
  readonly folder: string;
  /** Those that are mutated in every run. */
  readonly files: readonly string[];
  /** Globs of the test files, beside the code and in `test/contract`. */
  readonly tests: readonly string[];
  /** The run fails below this score, a percentage. */
  readonly breakBelow: number;
}

const GROUPS: readonly MutantGroup[] = [
  {
    name: "decision",
    folder: "src/core/decision/!(client-address|cookies|credential|path).ts",
    files: [
      "src/core/decision/authorize.ts",
      "src/core/decision/decision.ts",
      "src/core/decision/described-request.ts",
      "src/core/decision/expiry-verdict.ts",
      "src/core/decision/explain.ts",
      "src/core/decision/invalid-credential.ts",
      "src/core/decision/judge-credential.ts",
      "src/core/decision/request.ts",
      "src/core/decision/take-limits.ts",
      "src/core/decision/trace.ts",
    ],
    // Without `hostile-lengths.test.ts`, because the mutated sources are slower than those it compares with.
    tests: [
      "src/core/decision/!(hostile-lengths).test.ts",
      "test/contract/cases.test.ts",
      "test/contract/one-judgement.test.ts",
    ],
    breakBelow: 85,
  },
  {
    name: "requests",
    folder: "src/core/decision/{client-address,cookies,credential,path}.ts",
    files: [
      "src/core/decision/client-address.ts",
      "src/core/decision/cookies.ts",
      "src/core/decision/credential.ts",
      "src/core/decision/path.ts",
    ],
    tests: ["src/core/decision/{client-address,cookies,credential,path}.test.ts"],
    breakBelow: 85,
  },
  {
    name: "revocation",
    folder: "src/core/revocation/*.ts",
    files: [
      "src/core/revocation/feed-entry.ts",
      "src/core/revocation/instance-view.ts",
      "src/core/revocation/packed-key-map.ts",
      "src/core/revocation/packed-restriction.ts",
      "src/core/revocation/packed-rows.ts",
      "src/core/revocation/restrict-record.ts",
      "src/core/revocation/revocation.ts",
      "src/core/revocation/revocation-view.ts",
    ],
    tests: ["src/core/revocation/*.test.ts"],
    breakBelow: 85,
  },
  {
    name: "leases",
    folder: "src/core/limits/{breaker,known-limits,lease*,local-share,pooled-take,ports,token-bucket}.ts",
    files: [
      "src/core/limits/breaker.ts",
      "src/core/limits/known-limits.ts",
      "src/core/limits/lease-demand.ts",
      "src/core/limits/lease-exchange.ts",
      "src/core/limits/lease-holder.ts",
      "src/core/limits/lease-pool.ts",
      "src/core/limits/lease-request.ts",
      "src/core/limits/leased-bucket.ts",
      "src/core/limits/local-share.ts",
      "src/core/limits/pooled-take.ts",
      "src/core/limits/token-bucket.ts",
    ],
    // Without the random fleets of `lease-holder.test.ts`, which would take five seconds for each mutant.
    tests: [
      "src/core/limits/{breaker,held-leases,known-limits,lease-request,lease-pool,leased-bucket,local-share,pooled-take,token-bucket}.test.ts",
      "src/core/quotas/quota-pool.test.ts",
    ],
    breakBelow: 85,
  },
  {
    name: "limits",
    folder: "src/core/limits/!(breaker|known-limits|lease*|local-share|pooled-take|ports|token-bucket).ts",
    files: [
      "src/core/limits/applied-limits.ts",
      "src/core/limits/bucket-demands.ts",
      "src/core/limits/budget.ts",
      "src/core/limits/charged-take.ts",
      "src/core/limits/descriptor-limits.ts",
      "src/core/limits/limit-demands.ts",
      "src/core/limits/limit-subject.ts",
      "src/core/limits/rate-status.ts",
      "src/core/limits/retry-after.ts",
      "src/core/limits/unidentified-connections.ts",
    ],
    tests: [
      "src/core/limits/{applied-limits,bucket-demands,budget,charged-take,descriptor-limits,limit-demands,overridden-limits,retry-after,unidentified-connections}.test.ts",
    ],
    breakBelow: 85,
  },
  {
    name: "policy",
    folder: "src/core/policy/*.ts",
    files: [
      "src/core/policy/claims.ts",
      "src/core/policy/duration.ts",
      "src/core/policy/issuer.ts",
      "src/core/policy/route-conflicts.ts",
      "src/core/policy/route-narrowing.ts",
      "src/core/policy/route-pattern.ts",
      "src/core/policy/route-table.ts",
      "src/core/policy/scopes.ts",
    ],
    tests: ["src/core/policy/*.test.ts"],
    breakBelow: 85,
  },
  {
    name: "overrides",
    folder: "src/core/overrides/*.ts",
    files: [
      "src/core/overrides/count-overrides.ts",
      "src/core/overrides/list-overrides.ts",
      "src/core/overrides/override.ts",
      "src/core/overrides/override-administration.ts",
      "src/core/overrides/override-codec.ts",
      "src/core/overrides/override-contents.ts",
      "src/core/overrides/override-view.ts",
    ],
    tests: ["src/core/overrides/*.test.ts"],
    breakBelow: 85,
  },
  {
    name: "charges",
    folder: "src/core/charges/*.ts",
    files: [
      "src/core/charges/charge-grants.ts",
      "src/core/charges/charge-ledger.ts",
      "src/core/charges/charge-receiver.ts",
    ],
    tests: ["src/core/charges/*.test.ts"],
    breakBelow: 85,
  },
  {
    name: "sign-in",
    folder: "src/core/sign-in/*.ts",
    files: [
      "src/core/sign-in/holder-person.ts",
      "src/core/sign-in/operator-person.ts",
      "src/core/sign-in/person.ts",
      "src/core/sign-in/sign-in-policy.ts",
    ],
    tests: ["src/core/sign-in/*.test.ts"],
    breakBelow: 85,
  },
  {
    name: "jwt",
    folder: "src/jwt/!(fetch-set|issuer-*|jose-rejection|jwk|key-set|new-key|remote-keys|sign*).ts",
    files: [
      "src/jwt/claim-forms.ts",
      "src/jwt/hmac-verification.ts",
      "src/jwt/json-object.ts",
      "src/jwt/key-claims.ts",
      "src/jwt/key-ring.ts",
      "src/jwt/token-form.ts",
      "src/jwt/token-header.ts",
      "src/jwt/verifier.ts",
    ],
    tests: [
      "src/jwt/{claim-forms,key-claims,key-set,signer,token-header,verifier,verifier-properties,verifier-rejection}.test.ts",
    ],
    breakBelow: 85,
  },
  {
    name: "jwt-keys",
    folder: "src/jwt/{jwk,key-set,new-key,signer,signing-keys}.ts",
    files: [
      "src/jwt/jwk.ts",
      "src/jwt/key-set.ts",
      "src/jwt/new-key.ts",
      "src/jwt/signer.ts",
      "src/jwt/signing-keys.ts",
    ],
    tests: ["src/jwt/{jwk,key-set,new-key,signer,signing-keys}.test.ts"],
    breakBelow: 85,
  },
  {
    name: "jwt-issuers",
    folder: "src/jwt/{fetch-set,issuer-*,jose-rejection,remote-keys}.ts",
    files: [
      "src/jwt/fetch-set.ts",
      "src/jwt/issuer-claims.ts",
      "src/jwt/issuer-verifier.ts",
      "src/jwt/jose-rejection.ts",
      "src/jwt/remote-keys.ts",
    ],
    // Without the tests that start an issuer for each case, which would take seconds for each change.
    tests: ["src/jwt/{fetch-set,issuer-cache,issuer-claims,jose-rejection,remote-keys}.test.ts"],
    breakBelow: 85,
  },
  {
    name: "cache",
    folder: "src/core/cache/*.ts",
    files: [
      "src/core/cache/clock-cache.ts",
      "src/core/cache/clock-hand.ts",
      "src/core/cache/digest-cache.ts",
      "src/core/cache/memoize.ts",
      "src/core/cache/once-per.ts",
      "src/core/cache/repeats.ts",
      "src/core/cache/short-map.ts",
      "src/core/cache/use-order.ts",
    ],
    tests: ["src/core/cache/*.test.ts"],
    breakBelow: 85,
  },
  {
    name: "hpack",
    folder: "src/http2/{hpack*,huffman,header-encoder}.ts",
    files: [
      "src/http2/header-encoder.ts",
      "src/http2/hpack.ts",
      "src/http2/hpack-dynamic-table.ts",
      "src/http2/huffman.ts",
    ],
    tests: ["src/http2/{hpack,hpack-fragments,header-encoder}.test.ts"],
    breakBelow: 85,
  },
  {
    name: "http2-heads",
    folder: "src/http2/{request-head,header-block-handlers}.ts",
    files: ["src/http2/header-block-handlers.ts", "src/http2/request-head.ts"],
    tests: ["src/http2/{request-head,header-block-handlers}.test.ts"],
    breakBelow: 90,
  },
  {
    name: "http2-streams",
    folder: "src/http2/{stream,stream-writer,stream-handlers,flow-control,body-buffer,load}.ts",
    files: [
      "src/http2/body-buffer.ts",
      "src/http2/flow-control.ts",
      "src/http2/load.ts",
      "src/http2/stream.ts",
      "src/http2/stream-handlers.ts",
      "src/http2/stream-writer.ts",
    ],
    // Without the random frames of `stream-model.test.ts`, which would take two seconds for each mutant.
    tests: ["src/http2/{body-buffer,flow-control,load,stream,stream-handlers,stream-writer}.test.ts"],
    breakBelow: 90,
  },
  {
    name: "http2-frames",
    folder: "src/http2/{frames,frame-parser,frame-handlers}.ts",
    files: ["src/http2/frames.ts", "src/http2/frame-parser.ts", "src/http2/frame-handlers.ts"],
    // Without the random frames of `stream-model.test.ts`, which reach every line and take seconds for each change.
    tests: ["src/http2/{frames,frame-parser,frame-handlers,connection}.test.ts"],
    breakBelow: 85,
  },
  {
    name: "http2-connections",
    folder:
      "src/http2/{connection,connections,serve-connection,output,accepted-sockets,kept-bytes,shared-bytes}.ts",
    files: [
      "src/http2/accepted-sockets.ts",
      "src/http2/connection.ts",
      "src/http2/connections.ts",
      "src/http2/kept-bytes.ts",
      "src/http2/output.ts",
      "src/http2/serve-connection.ts",
      "src/http2/shared-bytes.ts",
    ],
    tests: [
      "src/http2/{connection,connections,serve-connection,output,accepted-sockets,kept-bytes,shared-bytes}.test.ts",
    ],
    breakBelow: 85,
  },
  {
    name: "http2-listener",
    folder: "src/http2/{server,listener}.ts",
    files: ["src/http2/server.ts", "src/http2/listener.ts"],
    tests: ["src/http2/{server,listener}.test.ts"],
    breakBelow: 85,
  },
  {
    name: "quotas",
    folder: "src/core/quotas/*.ts",
    files: [
      "src/core/quotas/calendar.ts",
      "src/core/quotas/known-counters.ts",
      "src/core/quotas/local-day.ts",
      "src/core/quotas/near-limits.ts",
      "src/core/quotas/quota-charge.ts",
      "src/core/quotas/quota-counter.ts",
      "src/core/quotas/quota-debts.ts",
      "src/core/quotas/quota-demand.ts",
      "src/core/quotas/quota-exchange.ts",
      "src/core/quotas/quota-look.ts",
      "src/core/quotas/quota-status.ts",
      "src/core/quotas/quota-store.ts",
      "src/core/quotas/send-in-window.ts",
    ],
    // Without the random histories of `quota-model.test.ts`, which would take seconds for each mutant.
    tests: [
      "src/core/quotas/{calendar,known-counters,local-day,near-limits,quota-counter,quota-debts,quota-demand,quota-exchange,quota-look,quota-pool,quota-status,quota-store,send-in-window}.test.ts",
    ],
    breakBelow: 85,
  },
  {
    name: "ext-authz",
    folder: "src/ext-authz/{auth-request,check-re*,request-headers,struct}.ts",
    files: [
      "src/ext-authz/auth-request.ts",
      "src/ext-authz/check-request-decoder.ts",
      "src/ext-authz/check-response-encoder.ts",
      "src/ext-authz/request-headers.ts",
      "src/ext-authz/struct.ts",
    ],
    // Without `check.test.ts`, whose thousands of pending Checks would take seconds for each mutant.
    tests: [
      "src/ext-authz/{auth-request,check-re*,credential-removal,deny-response,rate-limit-headers,response-cache,response-properties,struct}.test.ts",
    ],
    breakBelow: 85,
  },
  {
    name: "response-headers",
    folder:
      "src/ext-authz/{allow-fragments,credential-removal,deny-response,header-options,plain-response,rate-limit-headers}.ts",
    files: [
      "src/ext-authz/allow-fragments.ts",
      "src/ext-authz/credential-removal.ts",
      "src/ext-authz/deny-response.ts",
      "src/ext-authz/header-options.ts",
      "src/ext-authz/plain-response.ts",
      "src/ext-authz/rate-limit-headers.ts",
    ],
    // Without the random responses of `response-properties.test.ts`, which reach every line and take seconds for each change.
    tests: [
      "src/ext-authz/{allow-fragments,credential-removal,deny-response,header-options,rate-limit-headers}.test.ts",
    ],
    breakBelow: 85,
  },
  {
    name: "response-cache",
    folder: "src/ext-authz/{key-bytes,observed-encoder,response-cache,ticket-fragment}.ts",
    files: [
      "src/ext-authz/key-bytes.ts",
      "src/ext-authz/observed-encoder.ts",
      "src/ext-authz/response-cache.ts",
      "src/ext-authz/ticket-fragment.ts",
    ],
    tests: ["src/ext-authz/{observed-encoder,response-cache}.test.ts"],
    breakBelow: 85,
  },
  {
    name: "check-handler",
    folder: "src/ext-authz/decide.ts",
    files: ["src/ext-authz/decide.ts"],
    // Without `check.test.ts`, whose random faults wait for late decisions.
    tests: ["src/ext-authz/decide.test.ts"],
    breakBelow: 85,
  },
  {
    name: "check",
    folder: "src/ext-authz/{check,method}.ts",
    files: ["src/ext-authz/check.ts", "src/ext-authz/method.ts"],
    tests: ["src/ext-authz/{check,method}.test.ts"],
    breakBelow: 85,
  },
  {
    name: "pending-checks",
    folder: "src/ext-authz/pending-checks.ts",
    files: ["src/ext-authz/pending-checks.ts"],
    // Without the tests of a whole Check, which would wait for a response that a change has removed.
    tests: ["src/ext-authz/pending-checks.test.ts"],
    breakBelow: 85,
  },
  {
    name: "keys",
    folder: "src/core/keys/*.ts",
    files: [
      "src/core/keys/change-memory.ts",
      "src/core/keys/commit.ts",
      "src/core/keys/console-session.ts",
      "src/core/keys/count-plans.ts",
      "src/core/keys/freeze.ts",
      "src/core/keys/ip-network.ts",
      "src/core/keys/issued-key.ts",
      "src/core/keys/key-administration.ts",
      "src/core/keys/key-binding.ts",
      "src/core/keys/key-change.ts",
      "src/core/keys/key-dates.ts",
      "src/core/keys/key-filter.ts",
      "src/core/keys/key-lifecycle.ts",
      "src/core/keys/key-listing.ts",
      "src/core/keys/key-record.ts",
      "src/core/keys/key-record-codec.ts",
      "src/core/keys/key-registration.ts",
      "src/core/keys/key-renewal.ts",
      "src/core/keys/key-revocation.ts",
      "src/core/keys/key-view.ts",
      "src/core/keys/lost-record.ts",
      "src/core/keys/lost-writes.ts",
      "src/core/keys/new-key.ts",
      "src/core/keys/operation-audit.ts",
      "src/core/keys/operator.ts",
      "src/core/keys/refresh-rule.ts",
      "src/core/keys/registry-frozen.ts",
      "src/core/keys/self-service-cap.ts",
      "src/core/keys/signing-rotation.ts",
    ],
    tests: ["src/core/keys/*.test.ts"],
    breakBelow: 85,
  },
  {
    name: "legacy",
    folder: "src/core/legacy/*.ts",
    files: [
      "src/core/legacy/field-name.ts",
      "src/core/legacy/import-entry.ts",
      "src/core/legacy/legacy-import.ts",
      "src/core/legacy/legacy-keys.ts",
      "src/core/legacy/legacy-record.ts",
      "src/core/legacy/migration.ts",
      "src/core/legacy/migration-switch.ts",
      "src/core/legacy/phase-effect.ts",
    ],
    tests: ["src/core/legacy/*.test.ts"],
    breakBelow: 85,
  },
  {
    name: "postings",
    folder: "src/core/postings/*.ts",
    files: [
      "src/core/postings/poster.ts",
      "src/core/postings/posting.ts",
      "src/core/postings/posting-queue.ts",
    ],
    // Without the random schedules of `poster-schedules.test.ts`, which would take seconds for each change.
    tests: ["src/core/postings/{poster,posting,posting-queue}.test.ts"],
    breakBelow: 85,
  },
  {
    name: "usage",
    folder: "src/core/usage/*.ts",
    files: [
      "src/core/usage/family-counts.ts",
      "src/core/usage/packed-usage.ts",
      "src/core/usage/top-usage.ts",
      "src/core/usage/usage-amount.ts",
      "src/core/usage/usage-meter.ts",
      "src/core/usage/usage-report.ts",
      "src/core/usage/usage-time.ts",
    ],
    tests: ["src/core/usage/*.test.ts"],
    breakBelow: 85,
  },
  {
    name: "copy",
    folder: "src/core/copy/*.ts",
    files: [
      "src/core/copy/copied-event.ts",
      "src/core/copy/copied-phase.ts",
      "src/core/copy/copy.ts",
      "src/core/copy/digest.ts",
      "src/core/copy/escaped-keys.ts",
      "src/core/copy/kinds.ts",
      "src/core/copy/merge-record.ts",
      "src/core/copy/merge-usage.ts",
      "src/core/copy/obstacles.ts",
      "src/core/copy/quota-row.ts",
    ],
    tests: ["src/core/copy/*.test.ts"],
    breakBelow: 85,
  },
  {
    name: "audit",
    folder: "src/core/audit/*.ts",
    files: ["src/core/audit/audit-event-codec.ts", "src/core/audit/audit-query.ts"],
    tests: ["src/core/audit/*.test.ts"],
    breakBelow: 85,
  },
  {
    name: "core",
    folder: "src/core/{survey/survey,*}.ts",
    files: [
      "src/core/clock.ts",
      "src/core/escape-text.ts",
      "src/core/field-text.ts",
      "src/core/maybe-promise.ts",
      "src/core/store-unavailable.ts",
      "src/core/survey/survey.ts",
      "src/core/timeout.ts",
    ],
    tests: ["src/core/{survey/survey,*}.test.ts"],
    breakBelow: 85,
  },
];

/** The groups with these names, and the groups of these files with only these. No arguments: all groups. */
export function groupsOf(args: readonly string[]): readonly MutantGroup[] {
  const unknown = args.filter((arg) => !GROUPS.some((group) => arg === group.name || hasFile(group, arg)));
  if (unknown.length > 0)
    throw new RangeError(`no group of mutants and no file of one: ${unknown}. See test/mutants/groups.ts.`);
  const chosen = args.length === 0 ? GROUPS : GROUPS.flatMap((group) => restricted(group, args));
  return chosen.filter(({ files }) => files.length > 0);
}

/** A group that is named has its whole folder if no file of it is measured yet. */
function restricted(group: MutantGroup, args: readonly string[]): readonly MutantGroup[] {
  if (args.includes(group.name))
    return [group.files.length > 0 ? group : { ...group, files: [group.folder] }];
  const files = args.filter((arg) => hasFile(group, arg));
  return [{ ...group, files, breakBelow: 0 }];
}

function hasFile({ folder }: MutantGroup, path: string): boolean {
  return matchesGlob(path, folder);
}
