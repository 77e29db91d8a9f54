import type { Command } from "commander";
import type { Io } from "./io.ts";
import { withClient } from "./with-client.ts";

const HINTS = {
  "not-found": "the instance serves no console: set CONSOLE to on",
} as const;

/** `latchkey console`: a link that signs in once. Only the link is on stdout, so that a script can open it. */
export function addConsoleCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command("console")
    .description("print a link that signs in to the console, once and within a minute")
    .option("--json", "print JSON")
    .action(async ({ json }: { readonly json?: true }) => {
      const printLink: Parameters<typeof withClient>[1] = async (client, base) => {
        const { link, expires_at } = await client.console.link();
        const url = `${base.replace(/\/+$/, "")}/console#link=${link}`;
        io.print(json ? JSON.stringify({ url, expires_at }) : url);
        if (!json) io.printError(`Open the link before ${expires_at}. It works once, so do not share it.`);
      };
      finish(await withClient(io, printLink, HINTS));
    });
}
