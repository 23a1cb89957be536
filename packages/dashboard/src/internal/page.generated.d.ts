/** The files of the page by path. `scripts/build.ts` writes the module; it is not committed. */
export interface Asset {
  readonly type: string
  readonly etag: string
  /** Its name has a hash of what it holds, so it never changes. */
  readonly isImmutable: boolean
  readonly text: string
  /** The same, compressed, in base64. */
  readonly gzip: string
}

export declare const root: string
export declare const assets: ReadonlyMap<string, Asset>
