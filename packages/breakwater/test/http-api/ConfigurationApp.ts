/**
 * The admin API in memory, over a configuration that was read from variables.
 */
import { assert } from "@effect/vitest"
import { Clock, ConfigProvider, Effect, Layer, Logger, Schema } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import * as Configuration from "../../src/config/Configuration.ts"
import { Admin, AdminError, type AdminKeys } from "../../src/http-api/index.ts"
import type * as Running from "../../src/Running.ts"
import { type App, type Init, json, keys, root, secrets } from "./App.ts"

export interface ConfiguredApp extends App {
  /** The variables of the process. A reload sees what is changed here. */
  readonly env: Record<string, string>
  readonly get: (path: string) => Effect.Effect<any>
  /** Posts JSON and gives the answer's body, which has this status. */
  readonly post: (path: string, body: unknown, options?: Options) => Effect.Effect<any>
}

interface Options extends Init {
  readonly status?: number
}

export const configured = Effect.fnUntraced(function* (
  variables: Record<string, string> = {},
  options: {
    readonly operations?: ReadonlyArray<Running.Start>
    readonly keys?: Layer.Layer<AdminKeys.AdminKeys>
  } = {}
) {
  const env = { ...variables }
  const provider = ConfigProvider.make((path) => ConfigProvider.fromEnvRecord(env).load(path))
  const services = yield* Layer.build(
    Configuration.layer({ operations: options.operations ?? ["ai_service", "text_processing"] }).pipe(
      Layer.provideMerge(Layer.succeed(ConfigProvider.ConfigProvider, provider))
    )
  )
  const clock = yield* Clock.Clock
  const lines: Array<string> = []
  const web = HttpRouter.toWebHandler(
    Admin.layer().pipe(
      Layer.provide(options.keys ?? keys),
      Layer.provide(Layer.succeedContext(services)),
      Layer.provide(HttpServer.layerServices),
      Layer.provideMerge(Logger.layer([Logger.map(Logger.formatJson, (line) => void lines.push(line))])),
      Layer.provideMerge(Layer.succeed(Clock.Clock, clock))
    )
  )
  yield* Effect.addFinalizer(() => Effect.promise(web.dispose))
  const call: App["call"] = (path, { body, headers, key = secrets.admin, method = "GET" } = {}) =>
    Effect.promise(() =>
      web.handler(
        new Request(`http://localhost${root}${path}`, {
          method,
          headers: { ...(key === "" ? {} : { authorization: `Bearer ${key}` }), ...headers },
          ...(body === undefined ? {} : { body, duplex: "half" })
        })
      )
    )
  const body: App["body"] = (path, init) => Effect.flatMap(call(path, init), json)
  const app: ConfiguredApp = {
    env,
    call,
    lines,
    body,
    get: Effect.fnUntraced(function* (path) {
      const response = yield* call(path)
      const got = yield* json(response)
      assert.strictEqual(response.status, 200, JSON.stringify(got))
      return got
    }),
    post: Effect.fnUntraced(function* (path, sent, { headers, status = 200, ...init } = {}) {
      const response = yield* call(path, {
        method: "POST",
        ...init,
        ...(sent === undefined
          ? { headers: { ...headers } }
          : { headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(sent) })
      })
      const got = yield* json(response)
      assert.strictEqual(response.status, status, JSON.stringify(got))
      if (status >= 400) {
        yield* Effect.orDie(Schema.decodeUnknownEffect(AdminError.Envelope)(got))
        assert.strictEqual(got.error_code, AdminError.codeOf(status))
      }
      return got
    })
  }
  return app
})

export const decodes = (schema: Schema.Codec<any, any>, body: unknown) =>
  Schema.decodeUnknownEffect(schema)(body, { onExcessProperty: "error" })

/** The body of a GET that is refused with a status. */
export const refusedGet = Effect.fnUntraced(function* (app: ConfiguredApp, path: string, status: number) {
  const response = yield* app.call(path)
  const body = yield* json(response)
  assert.strictEqual(response.status, status, JSON.stringify(body))
  yield* Schema.decodeUnknownEffect(AdminError.Envelope)(body)
  assert.strictEqual(body.error_code, AdminError.codeOf(status))
  return body
})
