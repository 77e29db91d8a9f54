import type { TargetedSubmitEvent } from "preact";
import { useRef, useState } from "preact/hooks";
import type { LatchkeyClient } from "../../client/client.ts";
import { LatchkeyProblem } from "../../client/problem.ts";
import type { IssuedKey, OwnerSession, OwnRegistration } from "../../client/types.ts";
import { formatSeconds } from "../data/format.ts";
import { useAction } from "../data/use-action.ts";
import { Button } from "../parts/button.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Field } from "../parts/field.tsx";
import { ProblemNotice } from "../parts/states.tsx";
import { NewKey } from "./new-key.tsx";
import { newIdempotencyKey } from "./random.ts";

const DAY_SECONDS = 86_400;

export interface CreateKeyProps {
  readonly client: LatchkeyClient;
  readonly roles: OwnerSession["roles"];
  onCreated(): void;
  onClose(): void;
}

/** Asks for a name, a role and what to leave out, and then shows the key once. */
export function CreateKey({ client, roles, onCreated, onClose }: CreateKeyProps) {
  const { issued, create } = useCreation(client, onCreated);
  if (issued !== undefined) return <NewKey issued={issued} onClose={onClose} />;
  return (
    <Dialog title="Create a key" onClose={onClose}>
      <CreateForm
        roles={roles}
        isRunning={create.isRunning}
        problem={create.problem}
        onSubmit={(registration) => void create.run(registration)}
        onClose={onClose}
      />
    </Dialog>
  );
}

function useCreation(client: LatchkeyClient, onCreated: () => void) {
  const [issued, setIssued] = useState<IssuedKey | undefined>(undefined);
  // Each form makes one key, also if its first response is lost.
  const idempotencyKey = useRef(newIdempotencyKey());
  const create = useAction(async (registration: OwnRegistration) => {
    try {
      setIssued(await client.owner.create(registration, { idempotencyKey: idempotencyKey.current }));
      onCreated();
    } catch (problem) {
      // The same value with another body would be a conflict. After a lost response it must stay.
      if (problem instanceof LatchkeyProblem) idempotencyKey.current = newIdempotencyKey();
      throw problem;
    }
  });
  return { issued, create };
}

interface CreateFormProps {
  readonly roles: OwnerSession["roles"];
  readonly isRunning: boolean;
  readonly problem: unknown;
  onSubmit(registration: OwnRegistration): void;
  onClose(): void;
}

function CreateForm({ roles, isRunning, problem, onSubmit, onClose }: CreateFormProps) {
  const [name, setName] = useState("");
  const [roleName, setRoleName] = useState(roles[0]?.name ?? "");
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const [days, setDays] = useState("");
  const role = roles.find((candidate) => candidate.name === roleName);
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const scopes = role?.scopes.filter((scope) => !left.has(scope)) ?? [];
    onSubmit({
      name: name.trim(),
      key_type: roleName,
      ...(left.size > 0 && { scopes }),
      ...(days !== "" && { ttl: Math.round(Number(days) * DAY_SECONDS) }),
    });
  };
  const choose = (next: string) => {
    setRoleName(next);
    setLeft(new Set());
  };
  return (
    <form class="stack" onSubmit={submit}>
      <NameField name={name} onInput={setName} />
      <RoleField roles={roles} chosen={roleName} onChange={choose} />
      {role !== undefined && role.scopes.length > 0 && (
        <ScopeChoice
          scopes={role.scopes}
          left={left}
          onToggle={(scope) => setLeft((before) => before.symmetricDifference(new Set([scope])))}
        />
      )}
      <LifeField longest={role?.ttl ?? 0} days={days} onInput={setDays} />
      {problem !== undefined && <ProblemNotice problem={problem} />}
      <div class="actions">
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" type="submit" isRunning={isRunning}>
          Create key
        </Button>
      </div>
    </form>
  );
}

function NameField({ name, onInput }: { readonly name: string; readonly onInput: (name: string) => void }) {
  return (
    <Field label="Name" hint="What the key is for, such as the program or the machine.">
      {(ids) => (
        <input
          {...ids}
          required
          maxLength={128}
          autocomplete="off"
          value={name}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

interface RoleFieldProps {
  readonly roles: OwnerSession["roles"];
  readonly chosen: string;
  onChange(role: string): void;
}

function RoleField({ roles, chosen, onChange }: RoleFieldProps) {
  return (
    <Field label="Role">
      {(ids) => (
        <select {...ids} value={chosen} onChange={(event) => onChange(event.currentTarget.value)}>
          {roles.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface ScopeChoiceProps {
  readonly scopes: readonly string[];
  /** Those that the key does not get. */
  readonly left: ReadonlySet<string>;
  onToggle(scope: string): void;
}

function ScopeChoice({ scopes, left, onToggle }: ScopeChoiceProps) {
  return (
    <fieldset>
      <legend>Scopes</legend>
      {scopes.map((scope) => (
        <label key={scope} class="check">
          <input type="checkbox" checked={!left.has(scope)} onChange={() => onToggle(scope)} />
          <code>{scope}</code>
        </label>
      ))}
    </fieldset>
  );
}

interface LifeFieldProps {
  /** Seconds. */
  readonly longest: number;
  readonly days: string;
  onInput(days: string): void;
}

function LifeField({ longest, days, onInput }: LifeFieldProps) {
  return (
    <Field
      label="Days until it expires"
      hint={`At most ${formatSeconds(longest)}. Leave it empty for the longest.`}
    >
      {(ids) => (
        <input
          {...ids}
          type="number"
          min="0.01"
          step="any"
          max={longest / DAY_SECONDS}
          value={days}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}
