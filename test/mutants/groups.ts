import { basename, matchesGlob } from "node:path";

/** One run of the mutation tests: the files that are mutated, and the tests that must notice. */
export interface MutantGroup {
  readonly name: string;
  /** Globs of sources. */
  readonly mutate: readonly string[];
  /** Globs of the test files, beside the code and in `test/contract`. */
  readonly tests: readonly string[];
  /** The run fails below this score, a percentage. */
  readonly breakBelow: number;
}

const GROUPS: readonly MutantGroup[] = [
  {
    name: "leases",
    mutate: ["src/core/limits/lease*.ts", "src/core/limits/pooled-take.ts"],
    // Without the random fleets of `lease-holder.test.ts`, which would take five seconds for each mutant.
    tests: ["src/core/limits/lease-{request,pool}.test.ts", "src/core/quotas/quota-pool.test.ts"],
    breakBelow: 0,
  },
  {
    name: "quotas",
    mutate: ["src/core/quotas/*.ts"],
    tests: ["src/core/quotas/*.test.ts"],
    breakBelow: 0,
  },
  {
    name: "revocation",
    mutate: ["src/core/revocation/*.ts"],
    tests: ["src/core/revocation/*.test.ts"],
    breakBelow: 0,
  },
  {
    name: "decision",
    mutate: ["src/core/decision/*.ts"],
    tests: [
      "src/core/decision/*.test.ts",
      "test/contract/cases.test.ts",
      "test/contract/one-judgement.test.ts",
    ],
    breakBelow: 0,
  },
  {
    name: "jwt",
    mutate: ["src/jwt/*.ts"],
    tests: ["src/jwt/*.test.ts"],
    breakBelow: 0,
  },
  {
    name: "http2",
    mutate: ["src/http2/*.ts"],
    tests: ["src/http2/*.test.ts"],
    breakBelow: 0,
  },
  {
    name: "ext-authz",
    mutate: ["src/ext-authz/*.ts"],
    tests: ["src/ext-authz/*.test.ts"],
    breakBelow: 0,
  },
];

/** The groups with these names, and for a file the group of its folder with only this file. No arguments: all groups. */
export function groupsOf(args: readonly string[]): readonly MutantGroup[] {
  if (args.length === 0) return GROUPS;
  return args.map((arg) => {
    const named = GROUPS.find(({ name }) => name === arg);
    if (named !== undefined) return named;
    const ofFile = GROUPS.find(({ mutate }) => mutate.some((glob) => matchesGlob(arg, glob)));
    if (ofFile === undefined)
      throw new RangeError(`${arg} is no group of mutants and no file of one: see test/mutants/groups.ts`);
    return { ...ofFile, name: basename(arg, ".ts"), mutate: [arg], breakBelow: 0 };
  });
}
