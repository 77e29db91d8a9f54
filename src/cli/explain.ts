import { text } from "node:stream/consumers";
import type { Command } from "commander";
import type { Explanation } from "../client/explain-types.ts";
import { trimSecret } from "../config/secret-text.ts";
import { asciiLowerCase, trimOws } from "../core/field-text.ts";
import { EXIT } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { toThumbprint } from "./keys/certificate-option.ts";
import { formatTable } from "./table.ts";
import { withClient } from "./with-client.ts";

interface ExplainOptions {
  readonly method: string;
  readonly path: string;
  readonly host?: string;
  readonly scheme?: "http" | "https";
  readonly header: readonly string[];
  readonly address?: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly in?: string;
  readonly json?: true;
}

/** `latchkey explain`: asks a running instance for the decision of a request and its steps. */
export function addExplainCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command("explain")
    .description("why a request would get its decision, step by step; nothing is spent")
    .requiredOption("--path <path>", "with its query")
    .option("--method <method>", "the HTTP method", "GET")
    .option("--host <host>", "the Host header")
    .option("--scheme <scheme>", "http or https")
    .option("--header <line>", "`name: value`; may be repeated", collect, [])
    .option("--address <ip>", "the client's address, as Envoy sees it")
    .option("--certificate <file>", "the client's certificate, a PEM file", toThumbprint)
    .option("--key <->", "`-`: read the key from the standard input")
    .option("--in <place>", "where the key comes: authorization, x-api-key, cookie:NAME, query:NAME")
    .option("--json", "as JSON")
    .action(async (options: ExplainOptions) => {
      if (options.key !== undefined && options.key !== "-") {
        io.printError("latchkey: a key does not belong on the command line: --key - reads it from the input");
        return finish(EXIT.usageError);
      }
      const key = options.key === undefined ? undefined : trimSecret(await text(process.stdin));
      finish(
        await withClient(io, async (client) => {
          const { method, path, host, scheme, address, certificate } = options;
          const explained = await client.explain({
            method,
            path,
            headers: headersOf(options.header),
            ...(host !== undefined && { host }),
            ...(scheme !== undefined && { scheme }),
            ...(address !== undefined && { address }),
            ...(certificate !== undefined && { certificate }),
            ...(key !== undefined && { key }),
            ...(options.in !== undefined && { in: options.in }),
          });
          io.print(options.json ? JSON.stringify(explained) : formatExplanation(explained));
        }),
      );
    });
}

function collect(line: string, lines: readonly string[]): readonly string[] {
  return [...lines, line];
}

function headersOf(lines: readonly string[]): Record<string, string[]> {
  const headers: [string, string[]][] = [];
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = asciiLowerCase(trimOws(line.slice(0, Math.max(0, colon))));
    const value = trimOws(line.slice(colon + 1));
    const known = headers.find(([other]) => other === name);
    if (known) known[1].push(value);
    else headers.push([name, [value]]);
  }
  return Object.fromEntries(headers);
}

function formatExplanation({ steps, verdict, reason, status, mode }: Explanation): string {
  const rows = steps.map(({ step, observed, outcome }) => [step, observed, outcome]);
  const through = mode === "shadow" ? ", but shadow mode lets the request through" : "";
  const end = verdict === "allow" ? "allowed" : `denied: ${reason} (${status})`;
  return `${formatTable(["step", "observed", "outcome"], rows)}\n${end}${through}`;
}
