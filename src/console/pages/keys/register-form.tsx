import type { TargetedSubmitEvent } from "preact";
import { useRef, useState } from "preact/hooks";
import type { IssuedKey, Plans, Registration, Roles } from "../../../client/types.ts";
import { useClient, useMissingScope } from "../../data/context.ts";
import { formatSeconds } from "../../data/format.ts";
import { useAction } from "../../data/use-action.ts";
import { Button } from "../../parts/button.tsx";
import { Select } from "../../parts/select.tsx";
import { ProblemNotice } from "../../parts/states.tsx";
import { hrefOf } from "../../shell/route.ts";
import { errorAt, TextField } from "./form-controls.tsx";
import { randomId } from "./random-id.ts";
import type { RegistrationForm } from "./registration.ts";
import { EMPTY_FORM, registrationOf } from "./registration.ts";

type Role = Roles["roles"][number];

export interface RegisterFormProps {
  readonly roles: readonly Role[];
  readonly plans: Plans["plans"];
  onIssued(issued: IssuedKey): void;
}

const LIFETIMES = [
  [3600, "1 hour"],
  [86_400, "1 day"],
  [604_800, "7 days"],
  [2_592_000, "30 days"],
] as const;

export function RegisterForm({ roles, plans, onIssued }: RegisterFormProps) {
  const [form, setForm] = useState<RegistrationForm>({ ...EMPTY_FORM, role: roles[0]?.name ?? "" });
  const action = useRegistration();
  const change = (part: Partial<RegistrationForm>) => setForm((before) => ({ ...before, ...part }));
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const issued = await action.run(registrationOf(form));
    if (issued !== undefined) onIssued(issued);
  };
  const parts = { form, change, error: (pointer: string) => errorAt(action.problem, pointer) };
  return (
    <form class="register" onSubmit={(event) => void submit(event)}>
      <Identity {...parts} roles={roles} plans={plans} />
      <Bounds {...parts} role={roles.find(({ name }) => name === form.role)} />
      {action.problem !== undefined && <ProblemNotice problem={action.problem} />}
      <div class="row">
        <Button kind="primary" type="submit" isRunning={action.isRunning}>
          Register
        </Button>
        <a class="button quiet" href={hrefOf(["keys"])}>
          Cancel
        </a>
      </div>
    </form>
  );
}

/** Registers. A repetition with the same content makes no second key, so a lost response costs nothing. */
function useRegistration() {
  const client = useClient();
  const attempt = useRef({ content: "", id: "" });
  return useAction((registration: Registration) => {
    const content = JSON.stringify(registration);
    if (attempt.current.content !== content) attempt.current = { content, id: randomId() };
    return client.register(registration, { idempotencyKey: attempt.current.id });
  });
}

interface PartProps {
  readonly form: RegistrationForm;
  change(part: Partial<RegistrationForm>): void;
  /** The error of a member of the body. */
  error(pointer: string): string | undefined;
}

/** Whose key it is, and what kind of key. */
function Identity({ form, change, error, roles, plans }: PartProps & Omit<RegisterFormProps, "onIssued">) {
  const mayAssignPlans = useMissingScope("limits:write") === undefined && plans.length > 0;
  return (
    <>
      <TextField
        label="Name"
        hint="For people to read."
        value={form.name}
        isRequired
        error={error("#/name")}
        onChange={(name) => change({ name })}
      />
      <Select
        label="Role"
        value={form.role}
        error={error("#/key_type")}
        options={roles.map(({ name }) => [name, name])}
        onChange={(name) => change({ role: name, scopes: undefined, ttl: "" })}
      />
      <TextField
        label="Owner"
        hint="The party that the key belongs to. Without an owner, its family owns itself."
        value={form.owner}
        error={error("#/owner")}
        onChange={(owner) => change({ owner })}
      />
      {mayAssignPlans && (
        <Select
          label="Plan"
          value={form.plan}
          error={error("#/plan")}
          options={[["", "of the role"], ...plans.map(({ name }) => [name, name] as const)]}
          onChange={(plan) => change({ plan })}
        />
      )}
    </>
  );
}

/** How long, from where and for what it is valid. */
function Bounds({ form, change, error, role }: PartProps & { readonly role: Role | undefined }) {
  return (
    <>
      {role !== undefined && <Lifetime role={role} value={form.ttl} onChange={(ttl) => change({ ttl })} />}
      <TextField
        label="Addresses"
        hint="Networks from which the key is accepted, such as 192.0.2.0/24. Empty: any address."
        value={form.addresses}
        error={error("#/addresses")}
        onChange={(addresses) => change({ addresses })}
      />
      {role !== undefined && role.scopes.length > 0 && (
        <Scopes role={role} chosen={form.scopes} onChange={(scopes) => change({ scopes })} />
      )}
    </>
  );
}

interface LifetimeProps {
  readonly role: Role;
  readonly value: string;
  onChange(value: string): void;
}

/** Only lifetimes that are shorter than the role's. */
function Lifetime({ role, value, onChange }: LifetimeProps) {
  const shorter = LIFETIMES.filter(([seconds]) => seconds < role.ttl_seconds);
  return (
    <Select
      label="Lifetime"
      value={value}
      options={[
        ["", `${formatSeconds(role.ttl_seconds)} (of the role)`],
        ...shorter.map(([seconds, text]) => [String(seconds), text] as const),
      ]}
      onChange={onChange}
    />
  );
}

interface ScopesProps {
  readonly role: Role;
  readonly chosen: readonly string[] | undefined;
  onChange(scopes: readonly string[] | undefined): void;
}

function Scopes({ role, chosen = role.scopes, onChange }: ScopesProps) {
  const toggle = (scope: string, isOn: boolean) => {
    const next = role.scopes.filter((one) => (one === scope ? isOn : chosen.includes(one)));
    onChange(next.length === role.scopes.length ? undefined : next);
  };
  return (
    <fieldset class="choices">
      <legend>Scopes</legend>
      {role.scopes.map((scope) => (
        <label key={scope}>
          <input
            type="checkbox"
            checked={chosen.includes(scope)}
            onChange={({ currentTarget }) => toggle(scope, currentTarget.checked)}
          />
          <code>{scope}</code>
        </label>
      ))}
    </fieldset>
  );
}
