import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** A Dockerfile's instructions, with continued lines joined and without comments. */
export function readDockerfile(path: string): readonly Instruction[] {
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^\s*#/.test(line))
    .join("\n")
    .replaceAll(/\\\n\s*/g, "");
  return lines.split("\n").map((line) => {
    const [, name = "", text = ""] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    return { name, text };
  });
}

/** The environment that our Dockerfile sets in the image. */
export function imageEnvironment(): Readonly<Record<string, string>> {
  const path = fileURLToPath(new URL("../../Dockerfile", import.meta.url));
  const settings = readDockerfile(path).filter(({ name }) => name === "ENV");
  return Object.fromEntries(
    settings.flatMap(({ text }) =>
      [...text.matchAll(/(\w+)=(\S+)/g)].map(([, name = "", value = ""]) => [name, value] as const),
    ),
  );
}

/** The result of one stage. */
export interface Stage {
  /** The folder that represents its root. */
  readonly root: string;
  readonly environment: Readonly<Record<string, string>>;
  workdir: string;
  /** The last of each other instruction: USER, CMD, … */
  readonly settings: Map<string, string>;
}

export interface BuildOptions {
  /** The build context: the tree without the paths that .dockerignore excludes. */
  readonly context: string;
  /** The stages become folders in here. */
  readonly rootsIn: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * Runs a Dockerfile's steps without Docker: each stage's root is a folder, COPY copies, and RUN runs in its
 * WORKDIR with this machine's programs. Supports what our Dockerfile uses and throws at anything else. Returns
 * the last stage.
 */
export function runDockerfile(instructions: readonly Instruction[], options: BuildOptions): Stage {
  const stages = new Map<string, Stage>();
  let stage: Stage | undefined;
  for (const { name, text } of instructions) {
    if (name === "FROM") {
      const alias = / AS (\S+)$/i.exec(text)?.[1] ?? "last";
      stage = { root: join(options.rootsIn, alias), environment: {}, workdir: "/", settings: new Map() };
      mkdirSync(stage.root, { recursive: true });
      stages.set(alias, stage);
    } else if (stage === undefined) throw new Error(`${name} stands before FROM`);
    else runStep({ name, text }, stage, stages, options);
  }
  if (stage === undefined) throw new Error("no stage");
  return stage;
}

function runStep(
  { name, text }: Instruction,
  stage: Stage,
  stages: ReadonlyMap<string, Stage>,
  options: BuildOptions,
): void {
  if (name === "WORKDIR") {
    stage.workdir = text;
    mkdirSync(join(stage.root, text), { recursive: true });
  } else if (name === "ENV") {
    for (const [, key = "", value = ""] of text.matchAll(/(\w+)=(\S+)/g))
      Object.assign(stage.environment, { [key]: value });
  } else if (name === "COPY") copy(text, stage, stages, options);
  else if (name === "RUN") {
    const { status, stdout, stderr } = spawnSync("/bin/sh", ["-c", text], {
      cwd: join(stage.root, stage.workdir),
      env: { ...options.environment },
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`RUN ${text} ended with ${status}:\n${stdout}${stderr}`);
  } else if (/^(?:EXPOSE|VOLUME|USER|STOPSIGNAL|HEALTHCHECK|ENTRYPOINT|CMD)$/.test(name)) {
    stage.settings.set(name, text);
  } else throw new Error(`${name} is not known here`);
}

/** As in Docker, a folder's contents are copied into the target, which is a folder if it ends with a slash. */
function copy(
  text: string,
  stage: Stage,
  stages: ReadonlyMap<string, Stage>,
  { context }: BuildOptions,
): void {
  const words = text.split(" ");
  const from = words.find((word) => word.startsWith("--from="))?.slice("--from=".length);
  const paths = words.filter((word) => !word.startsWith("--"));
  const source = from === undefined ? context : stages.get(from)?.root;
  const target = paths.pop();
  if (source === undefined || target === undefined) throw new Error(`COPY ${text}: no such stage`);
  const into = join(stage.root, target.startsWith("/") ? target : join(stage.workdir, target));
  if (!target.endsWith("/")) throw new Error(`COPY ${text}: the target must end with a slash`);
  mkdirSync(into, { recursive: true });
  for (const path of paths) {
    const full = join(source, path);
    if (!existsSync(full)) throw new Error(`COPY ${text}: ${path} is not there`);
    cpSync(full, statSync(full).isDirectory() ? into : join(into, basename(path)), {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
}

/** Copies to `target` what a .dockerignore of the form "nothing but these" includes. */
export function copyContext(tree: string, target: string): void {
  const lines = readFileSync(join(tree, ".dockerignore"), "utf8").split("\n");
  const rules = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (rules[0] !== "*" || rules.slice(1).some((rule) => !rule.startsWith("!")))
    throw new Error(".dockerignore must be `*`, then what is let through");
  for (const rule of rules.slice(1))
    cpSync(join(tree, rule.slice(1)), join(target, rule.slice(1)), { recursive: true });
}
