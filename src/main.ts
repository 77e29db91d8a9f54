import { buildProgram } from "./cli/program.ts";
import { endWithStandardOutput, standardOutputProblem } from "./cli/standard-output.ts";

const complain = (text: string) => void process.stderr.write(`${text}\n`);
endWithStandardOutput(complain);
const program = buildProgram({
  environment: process.env,
  print: (text) => process.stdout.write(`${text}\n`),
  printError: complain,
  outputProblem: standardOutputProblem,
  ...(process.stderr.isTTY && { terminal: (text: string) => process.stderr.write(text) }),
});
process.exitCode = await program.run(process.argv.slice(2));
