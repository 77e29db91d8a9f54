/** A file that contains the version, and the edit that puts a new one there. */
export interface VersionEdit {
  readonly file: string;
  /** Throws if the file has no place for the version. */
  edit(text: string): string;
}

export function versionEdits(version: string, now: Date): readonly VersionEdit[] {
  const date = now.toISOString().slice(0, "YYYY-MM-DD".length);
  const released = `## Unreleased\n\n## ${version} - ${date}\n`;
  return [
    edit("CHANGELOG.md", /^## Unreleased\n/m, released),
    edit(
      "deploy/helm/latchkey/Chart.yaml",
      /^version: .*\nappVersion: .*$/m,
      `version: ${version}\nappVersion: ${version}`,
    ),
    edit("deploy/compose/compose.yaml", /image: latchkey:\S+/, `image: latchkey:${version}`),
    edit("docs/guides/install.md", /latchkey-\d+\.\d+\.\d+\S*?\.tgz/g, `latchkey-${version}.tgz`),
    edit("deploy/helm/latchkey/README.md", /(name: latchkey, version: )[^,]+/, `$1${version}`),
  ];
}

function edit(file: string, place: RegExp, text: string): VersionEdit {
  return {
    file,
    edit: (before) => {
      if (before.search(place) < 0) throw new Error(`${file} has no place for the version: ${place}`);
      return before.replace(place, text);
    },
  };
}
