import type { TargetedInputEvent, TargetedSubmitEvent } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { useClient } from "../../data/context.ts";
import { useCall } from "../../data/use-call.ts";
import { useNow } from "../../data/use-now.ts";
import { Field } from "../../parts/field.tsx";
import { goTo, hrefOf } from "../../shell/route.ts";
import { keyHref } from "./key-parts.tsx";
import type { Search } from "./key-search.ts";
import { dateInDays, idInKey, isKeyId, looksLikeKey, STATUSES } from "./key-search.ts";

/** How long the person may pause while typing. */
const PAUSE_MS = 300;
/** The longest text that the API searches for. */
const MAX_TEXT = 128;

const placeOf = (search: Search) => hrefOf(["keys"], { ...search });

/** The form writes the search into the URL after a pause, or at Enter. Enter on a whole key id opens the key. */
export function SearchForm({ search }: { readonly search: Search }) {
  const [typed, setTyped] = useState(search);
  const inUrl = JSON.stringify(search);
  /** What the form has put into the URL. It must not overwrite what was typed since. */
  const written = useRef(inUrl);
  useEffect(() => {
    if (written.current !== inUrl) setTyped(search);
    written.current = inUrl;
  }, [inUrl]);
  const isChanged = JSON.stringify(typed) !== inUrl;
  useEffect(() => {
    if (!isChanged) return undefined;
    const write = () => {
      written.current = JSON.stringify(typed);
      goTo(placeOf(typed), { replace: true });
    };
    const timer = setTimeout(write, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed, isChanged]);
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const text = typed.text.trim();
    goTo(isKeyId(text) ? keyHref(text) : placeOf(typed));
  };
  const change = (part: Partial<Search>) => setTyped((before) => ({ ...before, ...part }));
  return (
    <search>
      <form class="search" onSubmit={submit}>
        <SearchField text={typed.text} onChange={(text) => change({ text })} />
        <Choices search={typed} onChange={change} />
        <TextFilter name="Owner" value={typed.owner} onChange={(owner) => change({ owner })} />
        <DateFilter name="Expires before" value={typed.expires} onChange={(expires) => change({ expires })} />
        <DateFilter name="Unused since" value={typed.unused} onChange={(unused) => change({ unused })} />
        {/* Enter submits a form with several fields only if it has a button. */}
        <button type="submit" hidden>
          Search
        </button>
      </form>
      <Views search={search} />
    </search>
  );
}

/** A key that is pasted leads to its record. It comes neither into the URL nor to the server, but its id does. */
function SearchField({
  text,
  onChange,
}: {
  readonly text: string;
  readonly onChange: (text: string) => void;
}) {
  const [isKey, setKey] = useState(false);
  const onInput = ({ currentTarget: input }: TargetedInputEvent<HTMLInputElement>) => {
    const { value } = input;
    const found = looksLikeKey(value);
    setKey(found);
    if (!found) return onChange(value.slice(0, MAX_TEXT));
    input.value = "";
    onChange("");
    const keyId = idInKey(value);
    if (keyId !== undefined) goTo(keyHref(keyId));
  };
  return (
    <Field
      label="Search"
      error={isKey ? "This is a key, and it has no id of ours. Search for its name." : undefined}
    >
      {(ids) => (
        <input
          {...ids}
          type="search"
          placeholder="Key id, name, owner or family"
          value={text}
          spellcheck={false}
          autocomplete="off"
          onInput={onInput}
        />
      )}
    </Field>
  );
}

interface FilterProps {
  readonly name: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}

function TextFilter({ name, value, onChange }: FilterProps) {
  return (
    <Field label={name}>
      {(ids) => (
        <input
          {...ids}
          value={value}
          maxLength={128}
          spellcheck={false}
          autocomplete="off"
          onInput={({ currentTarget }) => onChange(currentTarget.value)}
        />
      )}
    </Field>
  );
}

function DateFilter({ name, value, onChange }: FilterProps) {
  return (
    <Field label={name}>
      {(ids) => (
        <input
          {...ids}
          type="date"
          value={value}
          onInput={({ currentTarget }) => onChange(currentTarget.value)}
        />
      )}
    </Field>
  );
}

interface ChoicesProps {
  readonly search: Search;
  readonly onChange: (part: Partial<Search>) => void;
}

/** The roles and plans are those of the policy. A name that it does not have any more stays selectable by the URL. */
function Choices({ search, onChange }: ChoicesProps) {
  const client = useClient();
  const roles = useCall(useCallback(() => client.policy.roles(), [client]));
  const plans = useCall(useCallback(() => client.policy.plans(), [client]));
  const roleNames = roles.value?.roles.map(({ name }) => name) ?? [];
  const planNames = plans.value?.plans.map(({ name }) => name) ?? [];
  return (
    <>
      <Choice name="Status" value={search.status} of={STATUSES} onChange={(status) => onChange({ status })} />
      <Choice name="Role" value={search.role} of={roleNames} onChange={(role) => onChange({ role })} />
      {(planNames.length > 0 || search.plan !== "") && (
        <Choice name="Plan" value={search.plan} of={planNames} onChange={(plan) => onChange({ plan })} />
      )}
    </>
  );
}

function Choice({ name, value, of, onChange }: FilterProps & { readonly of: readonly string[] }) {
  const options = value === "" || of.includes(value) ? of : [...of, value];
  return (
    <Field label={name}>
      {(ids) => (
        <select {...ids} value={value} onChange={({ currentTarget }) => onChange(currentTarget.value)}>
          <option value="">any</option>
          {options.map((option) => (
            <option key={option}>{option}</option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** Searches that operators often need. */
function Views({ search }: { readonly search: Search }) {
  const nowMs = useNow(60_000);
  const [soon, long] = [dateInDays(7, nowMs), dateInDays(-90, nowMs)];
  const views = [
    ["All", {}],
    ["Active", { status: "active" }],
    ["Disabled", { status: "disabled" }],
    ["Expiring within 7 days", { status: "active", expires: soon }],
    ["Unused for 90 days", { status: "active", unused: long }],
  ] as const;
  const present = hrefOf(["keys"], { ...search });
  return (
    <ul class="views" aria-label="Common searches">
      {views.map(([title, query]) => {
        const href = hrefOf(["keys"], { ...EMPTY, ...query });
        return (
          <li key={title}>
            <a href={href} aria-current={href === present || undefined}>
              {title}
            </a>
          </li>
        );
      })}
    </ul>
  );
}

/** In the order of the members of a search, so that equal searches have equal URLs. */
const EMPTY: Search = { text: "", status: "", role: "", plan: "", owner: "", expires: "", unused: "" };
