import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { Preset, Resilience } from "breakwater"
import { Admin, AdminKeys } from "breakwater/http-api"
import { Dashboard } from "@breakwater/dashboard"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { assets } from "../src/internal/page.generated.js"

const served = Effect.gen(function* () {
  const App = Layer.mergeAll(Admin.layer(), Dashboard.layer).pipe(
    Layer.provide(Resilience.layer(Preset.production)),
    Layer.provide(AdminKeys.AdminKeys.layer([{ key: Redacted.make("key-of-a-test-0123456789") }])),
    Layer.provide(HttpServer.layerServices)
  )
  const web = HttpRouter.toWebHandler(App, { disableLogger: true })
  yield* Effect.addFinalizer(() => Effect.promise(web.dispose))
  return (path: string, headers: Readonly<Record<string, string>> = {}) =>
    Effect.promise(() => web.handler(new Request(`http://localhost${path}`, { headers })))
})

const text = (response: Response) => Effect.promise(() => response.text())

describe("Dashboard.layer", () => {
  it.effect("serves the page and what it loads, with a policy that lets nothing else in", () =>
    Effect.gen(function* () {
      const get = yield* served
      const page = yield* get(Dashboard.path)
      assert.strictEqual(page.status, 200)
      const html = yield* text(page)
      const loaded = Array.from(html.matchAll(/(?:src|href)="([^"]+)"/g), ([, path]) => path!)
      assert.strictEqual(loaded.length, 3)
      for (const path of [Dashboard.path, ...loaded]) {
        const response = yield* get(path)
        assert.strictEqual(response.status, 200, path)
        const policy = response.headers.get("content-security-policy")!
        assert.include(policy, "default-src 'none'")
        assert.include(policy, "frame-ancestors 'none'")
        assert.include(policy, "require-trusted-types-for 'script'")
        assert.notInclude(policy, "unsafe")
        assert.strictEqual(response.headers.get("x-content-type-options"), "nosniff")
        assert.strictEqual(response.headers.get("x-frame-options"), "DENY")
        assert.strictEqual(response.headers.get("referrer-policy"), "no-referrer")
        assert.strictEqual(response.headers.get("cross-origin-resource-policy"), "same-origin")
      }
      assert.notMatch(html, /<script(?![^>]*\bsrc=)/)
      assert.notMatch(html, /<style|\bon\w+=|\bstyle=/)
    }).pipe(Effect.scoped)
  )

  it.effect("lets hashed files be kept and asks again for the page", () =>
    Effect.gen(function* () {
      const get = yield* served
      const page = yield* get(Dashboard.path)
      assert.strictEqual(page.headers.get("cache-control"), "no-cache")
      const etag = page.headers.get("etag")!
      assert.strictEqual((yield* get(Dashboard.path, { "if-none-match": `"other", ${etag}` })).status, 304)
      assert.strictEqual((yield* get(Dashboard.path, { "if-none-match": '"other"' })).status, 200)
      const script = Array.from(assets.keys()).find((path) => path.endsWith(".js"))!
      assert.match((yield* get(script)).headers.get("cache-control")!, /immutable/)
    }).pipe(Effect.scoped)
  )

  it.effect("compresses for those who can read it", () =>
    Effect.gen(function* () {
      const get = yield* served
      const script = Array.from(assets.keys()).find((path) => path.endsWith(".js"))!
      const gzip = yield* get(script, { "accept-encoding": "br, gzip;q=0.8" })
      assert.strictEqual(gzip.headers.get("content-encoding"), "gzip")
      const bytes = new Uint8Array(yield* Effect.promise(() => gzip.arrayBuffer()))
      assert.strictEqual(gunzipSync(bytes).toString("utf8"), yield* text(yield* get(script)))
      for (const refusing of ["identity", "gzip;q=0", "gzip; q=0.0"]) {
        assert.isNull((yield* get(script, { "accept-encoding": refusing })).headers.get("content-encoding"), refusing)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("answers 404 to every other path, and to other hosts nothing", () =>
    Effect.gen(function* () {
      const get = yield* served
      for (const path of ["/x", "/../Dashboard.ts", "/%2e%2e/package.json", "/index.html", "/assets/"]) {
        assert.strictEqual((yield* get(`${Dashboard.path}${path}`)).status, 404, path)
      }
      const foreign = yield* get(Dashboard.path, { host: "evil.example" })
      assert.strictEqual(foreign.status, 421)
    }).pipe(Effect.scoped)
  )
})

describe("the page", () => {
  it("weighs less than 100 KB, compressed, with everything it loads", () => {
    const weights = Array.from(assets.values(), ({ gzip }) => Buffer.from(gzip, "base64").length)
    const sum = weights.reduce((total, weight) => total + weight, 0)
    assert.isBelow(sum, 100 * 1024)
  })

  it("brings nothing of Effect along, and asks nobody else for anything", () => {
    for (const [path, { text }] of assets) {
      assert.notInclude(text, "effect/", path)
      // Nor where it was built.
      assert.notMatch(text, /\.tsx|fileName/, path)
      const urls = Array.from(text.matchAll(/https?:\/\/[^\s"'`)<]+/g), ([url]) => url).filter(
        (url) => !url.startsWith("http://www.w3.org/")
      )
      assert.deepStrictEqual(urls, [], path)
    }
  })

  it("thinks in modules that need no browser and no library", () => {
    const model = join(import.meta.dirname, "../page/model")
    const imports = globSync("*.ts", { cwd: model }).flatMap((file) =>
      Array.from(
        readFileSync(join(model, file), "utf8").matchAll(/^import (type )?[^"]*from "([^"]+)"/gm),
        ([, type, from]) => ({ file, type, from: from! })
      )
    )
    assert.isAbove(imports.length, 10)
    const strange = imports.filter(({ from, type }) => !from.startsWith("./") && type === undefined)
    assert.deepStrictEqual(strange, [])
  })

  it("never turns text into markup", () => {
    const root = join(import.meta.dirname, "../page")
    const files = globSync("**/*.{ts,tsx}", { cwd: root })
    assert.isAbove(files.length, 20)
    const forbidden =
      /innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|createContextualFragment|DOMParser|srcdoc|\beval\(|new Function|javascript:/
    for (const file of files) assert.notMatch(readFileSync(join(root, file), "utf8"), forbidden, file)
  })
})
