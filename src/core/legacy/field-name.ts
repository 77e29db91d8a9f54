const FIELD_NAME = /^[a-z_]{1,20}$/;

/**
 * Unknown fields of an import, as a problem may name them. In a file without a heading, or with members that are named by the
 * keys, a name is a key, and no problem may contain one.
 */
export function describeFieldNames(names: readonly string[]): string {
  return [...new Set(names.map(describeFieldName))].join(", ");
}

function describeFieldName(name: string): string {
  return FIELD_NAME.test(name) ? `"${name}"` : "one whose name is not shown, because it may be a key";
}
