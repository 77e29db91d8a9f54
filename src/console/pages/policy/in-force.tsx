import { useCallback } from "preact/hooks";
import type { PolicyInForce, RejectedPolicy, Roles } from "../../../client/types.ts";
import { useClient, useMissingScope } from "../../data/context.ts";
import { formatCount, formatSeconds } from "../../data/format.ts";
import { useAction } from "../../data/use-action.ts";
import { useCall } from "../../data/use-call.ts";
import { visibleText } from "../../data/visible-text.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { CodeText } from "../../parts/code-text.tsx";
import { Facts } from "../../parts/facts.tsx";
import { Notice } from "../../parts/notice.tsx";
import { CallView, ProblemNotice } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";
import { useToast } from "../../parts/toast.tsx";

/** The text of a policy may have a megabyte. */
const EVERY_MS = 30_000;

/** The active policy: its file, how it was loaded, its roles and its text. */
export function InForceView() {
  const client = useClient();
  const policy = useCall(
    useCallback(async () => {
      const [shown, { roles }] = await Promise.all([client.policy.show(), client.policy.roles()]);
      return { ...shown, roles };
    }, [client]),
    EVERY_MS,
  );
  return (
    <CallView call={policy} what="the policy">
      {(value) => <InForce policy={value} onReloaded={policy.reload} />}
    </CallView>
  );
}

interface InForceProps {
  readonly policy: PolicyInForce & Roles;
  onReloaded(): void;
}

function InForce({ policy, onReloaded }: InForceProps) {
  return (
    <>
      {policy.rejected !== null && <Rejected rejected={policy.rejected} file={policy.file} />}
      <div class="facts-with-action">
        <Facts
          rows={[
            ["File", <code key="file">{visibleText(policy.file)}</code>],
            ["Digest", <code key="hash">{policy.hash}</code>],
            [
              "Mode without a route",
              <Badge key="mode" tone={policy.mode === "enforce" ? "good" : "warn"}>
                {policy.mode}
              </Badge>,
            ],
            ["Loaded", <Loaded key="loaded" policy={policy} />],
          ]}
        />
        <ReloadButton onReloaded={onReloaded} />
      </div>
      <section>
        <h2>Roles</h2>
        <Table caption="Roles" columns={ROLES} rows={policy.roles} keyOf={({ name }) => name} />
      </section>
      <section>
        <h2>Text</h2>
        <CodeText label="The text of the policy" text={policy.text} />
      </section>
    </>
  );
}

const CAUSES = {
  start: "at the start of this instance",
  file: "because the file changed",
  signal: "on SIGHUP",
  call: "by",
} as const;

function Loaded({ policy }: { readonly policy: PolicyInForce }) {
  const { loaded_at: at, loaded_by: cause, loaded_by_actor: actor } = policy;
  return (
    <>
      <Time at={at} /> {CAUSES[cause]} {actor !== null && <code>{visibleText(actor)}</code>}
    </>
  );
}

function Rejected({ rejected, file }: { readonly rejected: RejectedPolicy; readonly file: string }) {
  return (
    <Notice tone="bad">
      <p>
        <strong>
          {visibleText(file)} was rejected <Time at={rejected.at} />.
        </strong>{" "}
        The policy below stays in force. Correct the file: it is loaded by itself.
      </p>
      <ul class="problems">
        {rejected.problems.map((problem) => (
          <li key={problem}>
            <code>{visibleText(problem)}</code>
          </li>
        ))}
      </ul>
    </Notice>
  );
}

function ReloadButton({ onReloaded }: Pick<InForceProps, "onReloaded">) {
  const client = useClient();
  const missing = useMissingScope("system:write");
  const toast = useToast();
  const reload = useAction(() => client.policy.reload());
  const run = async () => {
    const result = await reload.run();
    if (result?.result === "taken") toast(`Policy ${result.hash} is in force.`);
    if (result?.result === "unchanged") toast("The file has not changed.");
    onReloaded();
  };
  return (
    <div class="stack">
      <Button
        isDisabled={missing !== undefined}
        {...(missing !== undefined && { title: `Needs ${missing}` })}
        isRunning={reload.isRunning}
        onClick={() => void run()}
      >
        Reload the file
      </Button>
      {reload.problem !== undefined && <ProblemNotice problem={reload.problem} />}
    </div>
  );
}

type Role = Roles["roles"][number];

const ROLES: readonly Column<Role>[] = [
  { title: "Role", cell: ({ name }) => <code class="kid">{visibleText(name)}</code> },
  { title: "Scopes", cell: ({ scopes }) => <Names names={scopes} /> },
  { title: "Lifetime", kind: "number", cell: ({ ttl_seconds }) => formatSeconds(ttl_seconds) },
  { title: "Refresh window", kind: "number", cell: (role) => formatSeconds(role.refresh_window_seconds) },
  { title: "Limits", cell: limitsOf },
  { title: "May grant", cell: ({ may_grant }) => <Names names={may_grant} /> },
  {
    title: "Self-service",
    cell: ({ self_service }) => (self_service ? <Badge tone="neutral">yes</Badge> : "no"),
  },
];

function limitsOf({ plan, rate_limits: limits, quotas }: Role): string {
  if (plan !== null) return `plan ${visibleText(plan)}`;
  const texts = [
    ...limits.map(({ capacity, per }) => `${formatCount(capacity)} per ${per}`),
    ...quotas.map(({ limit, unit, every }) => `${formatCount(limit)} ${visibleText(unit)} a ${every}`),
  ];
  return texts.length === 0 ? "none" : texts.join(", ");
}

function Names({ names }: { readonly names: readonly string[] }) {
  if (names.length === 0) return <span class="muted">none</span>;
  return (
    <span class="names">
      {names.map((name) => (
        <code key={name}>{visibleText(name)}</code>
      ))}
    </span>
  );
}
