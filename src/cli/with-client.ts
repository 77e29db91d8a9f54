import { existsSync } from "node:fs";
import { Argument } from "commander";
import type { LatchkeyClient } from "../client/client.ts";
import { createClient } from "../client/client.ts";
import { LatchkeyProblem, LatchkeyUnreachable } from "../client/problem.ts";
import { tokenProblem, urlProblem } from "../client/transport.ts";
import { trimSecret } from "../config/secret-text.ts";
import { textOf } from "../config/text-file.ts";
import { visible } from "../core/escape-text.ts";
import { EXIT, UsageError } from "./exit-codes.ts";
import type { Io } from "./io.ts";

const DEFAULT_URL = "http://127.0.0.1:8000";
const PROBE_TIMEOUT_MS = 2000;

/** The URL of a live instance, and the operator's credential for it. */
interface Remote {
  readonly url: string;
  readonly token: string | undefined;
}

/**
 * Runs a command against the live instance that `LATCHKEY_URL` names. Resolves with the exit code.
 * @param hints what to check, by the reason of a problem, if it does not follow from the problem alone
 */
export async function withClient(
  io: Io,
  command: (client: LatchkeyClient, url: string) => Promise<void>,
  hints: Readonly<Record<string, string>> = {},
): Promise<number> {
  const remote = remoteOf(io);
  if (remote === undefined) return EXIT.usageError;
  const { url, token } = remote;
  try {
    await command(createClient({ url, ...(token !== undefined && { token }) }), url);
    return EXIT.done;
  } catch (error) {
    if (error instanceof LatchkeyUnreachable) {
      io.printError(
        `latchkey: ${error.message}${reasonOf(error)} (LATCHKEY_URL must be the URL of an instance)`,
      );
      return EXIT.unanswered;
    }
    if (!(error instanceof LatchkeyProblem)) throw error;
    io.printError(describe(error, (await hintOf(error, remote)) ?? hints[error.reason]));
    return EXIT.failed;
  }
}

/** Returns undefined after printing what is wrong with the variables. */
function remoteOf(io: Io): Remote | undefined {
  const { environment, printError } = io;
  const url = environment["LATCHKEY_URL"] || DEFAULT_URL;
  const problem = urlProblem(url);
  if (problem !== undefined) {
    printError(`latchkey: LATCHKEY_URL ${problem}`);
    return undefined;
  }
  const credential = operatorCredential(io);
  return credential && { url, ...credential };
}

/** The operator's token, if one is set. Returns undefined after printing what is wrong with the variables. */
export function operatorCredential({ environment, printError }: Io): Pick<Remote, "token"> | undefined {
  const { LATCHKEY_TOKEN, LATCHKEY_TOKEN_FILE: file } = environment;
  const [name, token] =
    !file || LATCHKEY_TOKEN
      ? ["LATCHKEY_TOKEN", trimSecret(LATCHKEY_TOKEN ?? "")]
      : ["LATCHKEY_TOKEN_FILE", trimmedFile(file)];
  if (name === "LATCHKEY_TOKEN_FILE" && !token) {
    const unreadable = existsSync(file ?? "")
      ? "the file cannot be read, or is not UTF-8 text"
      : "there is no such file";
    printError(`latchkey: LATCHKEY_TOKEN_FILE: ${file}: ${token === "" ? "the file is empty" : unreadable}`);
    return undefined;
  }
  const problem = tokenProblem(token || undefined);
  if (problem === undefined) return { token: token || undefined };
  // Never prints the value, because it holds credentials.
  printError(`latchkey: ${name} ${problem}`);
  return undefined;
}

function trimmedFile(file: string): string | undefined {
  const text = textOf(file);
  return text === undefined ? undefined : trimSecret(text);
}

/** The innermost cause of a failed connection, such as a refused connection or an unknown host name. */
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
    wait === undefined ? undefined : `  retry in ${wait} s`,
    hint === undefined ? undefined : `  ${hint}`,
  ];
  return lines
    .filter((line) => line !== undefined)
    .map(visible)
    .join("\n");
}

/** What the operator should check. */
async function hintOf(
  { status, reason }: LatchkeyProblem,
  { url, token }: Remote,
): Promise<string | undefined> {
  if (reason.startsWith("http-"))
    return `the server at ${url} is not Latchkey: set LATCHKEY_URL to the URL of an instance`;
  if (status === 401)
    return token === undefined
      ? "LATCHKEY_TOKEN is not set: set it to the operator's credential"
      : "the instance does not accept the credential in LATCHKEY_TOKEN";
  if (reason === "operator-scope-missing")
    return "the key in LATCHKEY_TOKEN needs the scope of this call: keys:read to read keys, keys:write to change keys and limits, limits:write to assign plans, audit:read, system:read or system:write";
  if (status === 404 && !(await isOperatorListener(url)))
    return `${url} is not the operator listener: use the address in OPERATOR_LISTEN, in production 127.0.0.1:8001`;
  return undefined;
}

/** Whether the server's OpenAPI document has the operators' calls. True if the document cannot be fetched. */
async function isOperatorListener(url: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    const response = await fetch(`${url.replace(/\/+$/, "")}/openapi.json`, { signal, redirect: "error" });
    return (await response.text()).includes('"/api/admin/keys"');
  } catch {
    return true;
  }
}

/** The argument for a key's id. Rejects the key itself before anything is sent. */
export function keyIdArgument(name = "<key_id>"): Argument {
  return new Argument(name).argParser(parseKeyId);
}

/** A key's id. Throws a UsageError for the key itself. */
export function parseKeyId(text: string): string {
  if (/^ey[\w-]+\.[\w-]+\.[\w-]*$/.test(text))
    throw new UsageError(
      "this is a key, not a key's id: a key does not belong on the command line, where other users can see it",
    );
  return nameArgument(text);
}

/** A name that becomes a segment of the request path. An empty name, `.` and `..` would change the path. */
export function nameArgument(text: string): string {
  if (/^\.{0,2}$/.test(text)) throw new UsageError("an empty name, . and .. are not valid names");
  return text;
}

/** The URL of an argument, without a trailing slash. Throws a UsageError that does not quote the URL. */
export function baseUrl(text: string): string {
  const problem = urlProblem(text);
  if (problem !== undefined) throw new UsageError(`the URL ${problem}`);
  return text.replace(/\/+$/, "");
}
