import { existsSync } from "node:fs";
import { Argument } from "commander";
import type { LatchkeyClient } from "../client/client.ts";
import { createClient } from "../client/client.ts";
import { LatchkeyProblem, LatchkeyUnreachable } from "../client/problem.ts";
import { tokenProblem, urlProblem } from "../client/transport.ts";
import { trimSecret } from "../config/secret-text.ts";
import { textOf } from "../config/text-file.ts";
import { EXIT, UsageError } from "./exit-codes.ts";

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
export async function withClient(
  io: Io,
  command: (client: LatchkeyClient) => Promise<void>,
): Promise<number> {
  const remote = remoteOf(io);
  if (remote === undefined) return EXIT.usageError;
  const { url, token } = remote;
  try {
    await command(createClient({ url, ...(token !== undefined && { token }) }));
    return EXIT.done;
  } catch (error) {
    if (error instanceof LatchkeyUnreachable) {
      io.printError(`latchkey: ${error.message}${reasonOf(error)} (LATCHKEY_URL says where it is)`);
      return EXIT.unanswered;
    }
    if (!(error instanceof LatchkeyProblem)) throw error;
    io.printError(describe(error, await hintOf(error, remote)));
    return EXIT.failed;
  }
}

/** Undefined once it has been told what is wrong with the variables. */
function remoteOf(io: Io): Remote | undefined {
  const { environment, printError: complain } = io;
  const url = environment["LATCHKEY_URL"] || DEFAULT_URL;
  const problem = urlProblem(url);
  if (problem !== undefined) {
    complain(`latchkey: LATCHKEY_URL ${problem}`);
    return undefined;
  }
  const credential = operatorCredential(io);
  return credential && { url, ...credential };
}

/** The operator's token, where there is one. Undefined once it has been told what is wrong with the variables. */
export function operatorCredential({
  environment,
  printError: complain,
}: Io): Pick<Remote, "token"> | undefined {
  const { LATCHKEY_TOKEN, LATCHKEY_TOKEN_FILE: file } = environment;
  const [name, token] =
    !file || LATCHKEY_TOKEN
      ? ["LATCHKEY_TOKEN", trimSecret(LATCHKEY_TOKEN ?? "")]
      : ["LATCHKEY_TOKEN_FILE", trimmedFile(file)];
  if (name === "LATCHKEY_TOKEN_FILE" && !token) {
    const unread = existsSync(file ?? "")
      ? "it cannot be read, or is no UTF-8 text"
      : "there is no such file";
    complain(`latchkey: LATCHKEY_TOKEN_FILE: ${file}: ${token === "" ? "it is empty" : unread}`);
    return undefined;
  }
  const problem = tokenProblem(token || undefined);
  if (problem === undefined) return { token: token || undefined };
  // Not the text: it holds credentials.
  complain(`latchkey: ${name} ${problem}`);
  return undefined;
}

function trimmedFile(file: string): string | undefined {
  const text = textOf(file);
  return text === undefined ? undefined : trimSecret(text);
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
      throw new UsageError(
        "this is a key, not a key's id: a key does not belong on the command line, where others can see it",
      );
    return nameArgument(text);
  });
}

/** A name that stands in the path of a call: an empty one, `.` or `..` would make another call of it. */
export function nameArgument(text: string): string {
  if (/^\.{0,2}$/.test(text)) throw new UsageError("an empty name, . and .. name nothing");
  return text;
}

/** The URL of an argument, without the slash at its end. Throws a UsageError that does not quote it. */
export function baseUrl(text: string): string {
  const problem = urlProblem(text);
  if (problem !== undefined) throw new UsageError(`the URL ${problem}`);
  return text.replace(/\/+$/, "");
}
