/** google.protobuf.Struct, spelt as protobufjs spells it. */
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

/** A plain object as a Struct, own members only; members that are undefined are left out, as JSON does. */
export function toStruct(plain: PlainObject): Struct {
  const fields: [string, StructValue][] = [];
  for (const [name, value] of Object.entries(plain)) {
    if (value !== undefined) fields.push([name, toStructValue(value)]);
  }
  // fromEntries defines members; an assignment would take `__proto__` for the prototype.
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

// Array.isArray alone does not tell a readonly array from an object.
function isList(value: readonly PlainValue[] | PlainObject): value is readonly PlainValue[] {
  return Array.isArray(value);
}
