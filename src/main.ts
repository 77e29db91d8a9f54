import { buildProgram } from "./cli/program.ts";
import { endWithStandardOutput, standardOutputProblem } from "./cli/standard-output.ts";

const printError = (text: string) => void process.stderr.write(`${text}\n`);
endWithStandardOutput(printError);
const program = buildProgram({
  environment: process.env,
  print: (text) => process.stdout.write(`${text}\n`),
  printError,
  outputProblem: standardOutputProblem,
  ...(process.stderr.isTTY && { terminal: (text: string) => process.stderr.write(text) }),
});
process.exitCode = await program.run(process.argv.slice(2));
