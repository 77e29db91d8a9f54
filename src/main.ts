import { buildProgram } from "./cli/program.ts";

// Whoever reads the output has had enough, as `| head` does.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});
const program = buildProgram({
  environment: process.env,
  print: (text) => process.stdout.write(`${text}\n`),
  complain: (text) => process.stderr.write(`${text}\n`),
  ...(process.stderr.isTTY && { terminal: (text: string) => process.stderr.write(text) }),
});
process.exitCode = await program.run(process.argv.slice(2));
