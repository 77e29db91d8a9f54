import { existsSync, readFileSync } from "node:fs";
import { Argument, InvalidArgumentError } from "commander";
import type { LatchkeyClient } from "../client/client.ts";
import { createClient } from "../client/client.ts";
import { LatchkeyProblem, LatchkeyUnreachable } from "../client/problem.ts";
import { EXIT } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { visible } from "./table.ts";

const DEFAULT_URL = "http://127.0.0.1:8000";
const PROBE_TIMEOUT_MS = 2000;

/** Where a live instance is, and the operator's credential for it. */
interface Remote {
  readonly url: string;
  readonly token: string | undefined;
}

/** Runs a command against the live instance that `LATCHKEY_URL` names; resolves with the exit code. */
export async function remotely(io: Io, command: (client: LatchkeyClient) => Promise<void>): Promise<number> {
  const remote = remoteOf(io);
  if (remote === undefined) return EXIT.calledWrongly;
  const { url, token } = remote;
  try {
    await command(createClient({ url, ...(token !== undefined && { token }) }));
    return EXIT.done;
  } catch (error) {
    if (error instanceof LatchkeyUnreachable) {
      io.complain(`latchkey: ${error.message}${reasonOf(error)} (LATCHKEY_URL says where it is)`);
      return EXIT.unanswered;
    }
    if (!(error instanceof LatchkeyProblem)) throw error;
    io.complain(describe(error, await hintOf(error, remote)));
    return EXIT.failed;
  }
}

/** Undefined once it has been told what is wrong with the variables. */
function remoteOf(io: Io): Remote | undefined {
  const { environment, complain } = io;
  const url = environment["LATCHKEY_URL"] || DEFAULT_URL;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    complain(`latchkey: LATCHKEY_URL is no URL such as ${DEFAULT_URL}`);
    return undefined;
  }
  const credential = operatorCredential(io);
  return credential && { url, ...credential };
}

/** The operator's token, where there is one. Undefined once it has been told what is wrong with the variables. */
export function operatorCredential({ environment, complain }: Io): Pick<Remote, "token"> | undefined {
  const { LATCHKEY_TOKEN, LATCHKEY_TOKEN_FILE: file } = environment;
  if (!file || LATCHKEY_TOKEN) return { token: LATCHKEY_TOKEN || undefined };
  if (existsSync(file)) return { token: readFileSync(file, "utf8").trim() || undefined };
  complain(`latchkey: LATCHKEY_TOKEN_FILE: ${file}: there is no such file`);
  return undefined;
}

/** Why no answer came, in the words of whoever tried. */
function reasonOf({ cause }: LatchkeyUnreachable): string {
  const innermost = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return innermost instanceof Error && innermost.message !== "" ? `: ${innermost.message}` : "";
}

function describe(problem: LatchkeyProblem, hint: string | undefined): string {
  const fields = problem.errors.map(({ pointer, detail }) => `  ${pointer}: ${detail}`);
  const members = Object.entries(problem.members).map(([name, value]) => `  ${name}: ${String(value)}`);
  const wait = problem.retryAfterSeconds;
  const lines = [
    `latchkey: ${problem.message} (${problem.status} ${problem.reason})`,
    problem.detail,
    ...fields,
    ...members,
    wait === undefined ? undefined : `  try again in ${wait} s`,
    hint === undefined ? undefined : `  ${hint}`,
  ];
  return lines
    .filter((line) => line !== undefined)
    .map(visible)
    .join("\n");
}

/** What whoever called should look at. */
async function hintOf(
  { status, reason }: LatchkeyProblem,
  { url, token }: Remote,
): Promise<string | undefined> {
  if (reason.startsWith("http-"))
    return `what answers at ${url} is not Latchkey: LATCHKEY_URL says where it is`;
  if (status === 401)
    return token === undefined
      ? "LATCHKEY_TOKEN is not set: it holds the operator's credential"
      : "the credential in LATCHKEY_TOKEN is not taken here";
  if (reason === "operator-scope-missing")
    return "the key in LATCHKEY_TOKEN needs the scope of this call: keys:read to look, keys:write for keys and limits, audit:read, or system:write";
  if (status === 404 && !(await isOperatorDoor(url)))
    return `${url} is not the operator door: that is OPERATOR_LISTEN, in production 127.0.0.1:8001`;
  return undefined;
}

/** Whether the door describes operators' calls. When it says nothing, nothing is said of it. */
async function isOperatorDoor(url: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    const answer = await fetch(`${url.replace(/\/+$/, "")}/openapi.json`, { signal, redirect: "error" });
    return (await answer.text()).includes('"/api/admin/keys"');
  } catch {
    return true;
  }
}

/** A key's id. Whoever gives the key itself is told so before it goes anywhere. */
export function keyIdArgument(name = "<key_id>"): Argument {
  return new Argument(name).argParser((text) => {
    if (/^ey[\w-]+\.[\w-]+\.[\w-]*$/.test(text))
      throw new InvalidArgumentError(
        "It is a key, not a key's id: a key does not belong on the command line, where others can see it.",
      );
    return text;
  });
}
