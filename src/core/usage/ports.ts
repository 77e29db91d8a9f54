import type { PostingStore } from "../postings/posting.ts";
import type { UsageAmount, UsageTotals } from "./usage-amount.ts";

/** Whose usage it is. */
export interface UsageSubject {
  readonly owner: string;
  readonly family: string;
}

/** The usage of a family in one hour or one day. Hours have no routes. */
export interface UsageRecord extends UsageTotals {
  /** The hour or day since 1970, in UTC. */
  readonly at: number;
}

/** Hours or days since 1970: from the first, up to the last but without it. */
export interface UsageSpan {
  readonly from: number;
  readonly to: number;
}

export interface UsagePage {
  /** Only families of this owner. */
  readonly owner?: string;
  /** Only subjects after this one. */
  readonly after?: UsageSubject;
  readonly limit: number;
}

/** Keeps usage. The window of a posting is its hour since 1970; a posting is void a day after its hour, by the store's clock. */
export interface UsageStore extends PostingStore<UsageAmount> {
  /** In the order of time, without hours in which nothing was used. */
  hours(family: string, span: UsageSpan): Promise<readonly UsageRecord[]>;
  days(family: string, span: UsageSpan): Promise<readonly UsageRecord[]>;
  /** Families with usage, in the order of their owners and then their names, as bytes of UTF-8. */
  subjects(page: UsagePage): Promise<readonly UsageSubject[]>;
  /** The owner of a family with usage. */
  ownerOf(family: string): Promise<string | undefined>;
  /** An estimate of the bytes that all usage takes. */
  bytes(): Promise<number>;
  /** Call it when the store may have lost writes: lists the families of later postings again. */
  suspectLoss(): void;
  /** Deletes entries whose retention was over at this time, in milliseconds. Some may stay until the next call. */
  sweep(beforeMs: number): Promise<void>;
}
