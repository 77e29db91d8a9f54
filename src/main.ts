import { buildProgram } from "./cli/program.ts";

const program = buildProgram({
  environment: process.env,
  print: (text) => process.stdout.write(`${text}\n`),
  complain: (text) => process.stderr.write(`${text}\n`),
});
process.exitCode = await program.run(process.argv.slice(2));
