/** Whether a position is later than another one of the same store. Positions have the form `N` or `N-N`. */
export function isAfter(cursor: string, mark: string): boolean {
  const [high = 0, low = 0] = cursor.split("-").map(Number);
  const [markedHigh = 0, markedLow = 0] = mark.split("-").map(Number);
  return high > markedHigh || (high === markedHigh && low > markedLow);
}
