/** google.protobuf.Struct, in the form of protobufjs. */
export interface Struct {
  readonly fields: Readonly<Record<string, StructValue>>;
}

export type StructValue =
  | { readonly nullValue: 0 }
  | { readonly boolValue: boolean }
  | { readonly numberValue: number }
  | { readonly stringValue: string }
  | { readonly structValue: Struct }
  | { readonly listValue: { readonly values: readonly StructValue[] } };

export type PlainValue = null | boolean | number | string | readonly PlainValue[] | PlainObject;
export interface PlainObject {
  readonly [name: string]: PlainValue | undefined;
}

/** Converts the own members of a plain object. As in JSON, undefined members are omitted. */
export function toStruct(plain: PlainObject): Struct {
  const fields: [string, StructValue][] = [];
  for (const [name, value] of Object.entries(plain)) {
    if (value !== undefined) fields.push([name, toStructValue(value)]);
  }
  // fromEntries defines members. An assignment to `__proto__` would set the prototype.
  return { fields: Object.fromEntries(fields) };
}

export function toStructValue(value: PlainValue): StructValue {
  if (value === null) return { nullValue: 0 };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number") return { numberValue: value };
  if (typeof value === "string") return { stringValue: value };
  if (isList(value)) return { listValue: { values: value.map(toStructValue) } };
  return { structValue: toStruct(value) };
}

// The type of Array.isArray does not exclude a readonly array.
function isList(value: readonly PlainValue[] | PlainObject): value is readonly PlainValue[] {
  return Array.isArray(value);
}
