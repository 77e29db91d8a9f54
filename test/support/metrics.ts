/** All series of an instance with their values, from its ops listener. */
export async function readMetrics(ops: string): Promise<ReadonlyMap<string, number>> {
  const response = await fetch(`http://${ops}/metrics`);
  if (response.status !== 200) throw new Error(`/metrics: ${response.status}`);
  const lines = (await response.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(" ");
      return [line.slice(0, end), Number(line.slice(end))];
    }),
  );
}
