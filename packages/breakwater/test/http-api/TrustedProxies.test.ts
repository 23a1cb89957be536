import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import { Admin, TrustedProxies } from "../../src/http-api/index.ts"

const proxies = TrustedProxies.make(["10.0.0.0/8", "192.0.2.7", "fd00::/8"])

const forwardedFor = (peer: string, header: string | undefined) =>
  TrustedProxies.clientOf(proxies, { peer, forwardedFor: header })

const forwarded = (peer: string, header: string | undefined) =>
  TrustedProxies.clientOf(proxies, { peer, forwarded: header })

describe("the address of a client", () => {
  it("is that of the connection while nobody is trusted", () => {
    const origin = { peer: "127.0.0.1", forwardedFor: "203.0.113.7", forwarded: "for=203.0.113.7" }
    assert.strictEqual(TrustedProxies.clientOf(TrustedProxies.none, origin), "127.0.0.1")
    assert.strictEqual(TrustedProxies.clientOf(TrustedProxies.make([]), origin), "127.0.0.1")
  })

  it("is that of the connection for whoever is not a trusted proxy, whatever he says", () => {
    for (const peer of ["203.0.113.7", "11.0.0.1", "9.255.255.255", "192.0.2.8", "2001:db8::1", "fc00::1", "unknown"]) {
      for (const header of ["10.0.0.1", "198.51.100.1", "fd00::1", "x", ""]) {
        assert.strictEqual(forwardedFor(peer, header), peer, header)
        assert.strictEqual(forwarded(peer, `for=${header}`), peer, header)
      }
    }
  })

  it("is the first from the right that is not a trusted proxy", () => {
    for (const [header, client] of [
      ["203.0.113.7", "203.0.113.7"],
      [" 203.0.113.7 ", "203.0.113.7"],
      ["6.6.6.6, 203.0.113.7", "203.0.113.7"],
      ["6.6.6.6, 203.0.113.7, 10.9.9.9", "203.0.113.7"],
      ["6.6.6.6,203.0.113.7,192.0.2.7,fd12::5,10.9.9.9", "203.0.113.7"],
      // What stands left of him was said by him.
      ["garbage, 203.0.113.7", "203.0.113.7"],
      ["10.0.0.2, 203.0.113.7", "203.0.113.7"],
      // All are trusted: it began there.
      ["10.0.0.2, 10.0.0.3", "10.0.0.2"],
      ["203.0.113.7:51000", "203.0.113.7"],
      ["[2001:db8::7]:51000", "2001:db8::7"],
      ["2001:DB8::7", "2001:db8::7"]
    ] as const) {
      assert.strictEqual(forwardedFor("10.0.0.1", header), client, header)
      assert.strictEqual(forwardedFor("fd00::1", header), client, header)
    }
    assert.strictEqual(forwardedFor("10.0.0.1", undefined), "10.0.0.1")
  })

  it("is read from Forwarded as RFC 7239 says", () => {
    for (const [header, client] of [
      ["for=203.0.113.7", "203.0.113.7"],
      ["For=203.0.113.7;proto=https;by=10.0.0.1", "203.0.113.7"],
      ['for="203.0.113.7:51000"', "203.0.113.7"],
      ['proto=https; for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"],
      ['for=6.6.6.6, for="[2001:db8::7]", for=10.0.0.9;by="a,b;for=6.6.6.6"', "2001:db8::7"],
      ['for=6.6.6.6;ext="\\",for=5.5.5.5", for=203.0.113.7', "203.0.113.7"]
    ] as const) {
      assert.strictEqual(forwarded("10.0.0.1", header), client, header)
    }
  })

  it("is that of the connection where the header can not be followed", () => {
    for (const header of [
      "",
      ",",
      "203.0.113.7,",
      "203.0.113.7, unknown",
      "203.0.113.7, _hidden",
      "203.0.113.7, 1.2.3",
      "1.2.3.256",
      "01.2.3.4",
      "203.0.113.7:port",
      "203.0.113.7:123456",
      "[203.0.113.7]",
      "[2001:db8::7",
      "2001:db8::7]",
      "2001:db8::g",
      "fe80::1%eth0",
      "http://203.0.113.7",
      "203.0.113.7 10.0.0.2",
      "203.0.113.7;10.0.0.2",
      "x".repeat(8_000),
      Array.from({ length: 65 }, () => "10.0.0.2").join(",")
    ]) {
      assert.strictEqual(forwardedFor("10.0.0.1", header), "10.0.0.1", header)
    }
    for (const header of [
      "",
      "203.0.113.7",
      "by=203.0.113.7",
      "for=",
      "for=_x",
      "for=1.1.1.1;for=2.2.2.2",
      'for="1.1.1.1'
    ]) {
      assert.strictEqual(forwarded("10.0.0.1", header), "10.0.0.1", header)
    }
  })

  it("is that of the connection where the two headers disagree", () => {
    const of = (forwardedFor: string, forwarded: string) =>
      TrustedProxies.clientOf(proxies, { peer: "10.0.0.1", forwardedFor, forwarded })
    assert.strictEqual(of("203.0.113.7", "for=203.0.113.7"), "203.0.113.7")
    assert.strictEqual(of("203.0.113.7", "for=6.6.6.6"), "10.0.0.1")
    assert.strictEqual(of("203.0.113.7", "for=_hidden"), "10.0.0.1")
  })

  it("is one for an IPv4 address in every form", () => {
    for (const peer of ["::ffff:10.0.0.1", "::FFFF:10.0.0.1", "::ffff:a00:1", "0:0:0:0:0:ffff:a00:1"]) {
      assert.strictEqual(forwardedFor(peer, "203.0.113.7"), "203.0.113.7", peer)
      assert.strictEqual(forwardedFor(peer, undefined), "10.0.0.1", peer)
    }
    for (const header of [
      "::ffff:203.0.113.7",
      "[::ffff:cb00:7107]:80",
      "6.6.6.6, ::ffff:203.0.113.7, ::ffff:a01:203"
    ]) {
      assert.strictEqual(forwardedFor("10.0.0.1", header), "203.0.113.7", header)
    }
    const mapped = TrustedProxies.make(["::ffff:10.0.0.0/104"])
    assert.isTrue(mapped.trusts("10.200.0.1"))
    assert.isTrue(mapped.trusts("::ffff:10.200.0.1"))
    assert.isFalse(mapped.trusts("11.0.0.1"))
    assert.isFalse(mapped.trusts("::a00:1"))
  })
})

describe("trusted proxies", () => {
  it("are refused with the value, the rule and the fix where they are no networks", () => {
    for (const value of [
      "",
      "10.0.0.0/33",
      "fd00::/129",
      "10.0.0.0/-1",
      "10.0.0.0/08",
      "10.0.0.0/8.0",
      "10.0.0.0/",
      "10.0.0/8",
      "10.0.0.0/8/8",
      "256.0.0.0/8",
      "::ffff:10.0.0.0/95",
      "fe80::1%eth0/64",
      "proxy.example.com",
      "loopback",
      "10.0.0.1:80",
      "0.0.0.0/0",
      "::/0",
      "::ffff:0.0.0.0/96"
    ]) {
      for (const run of [
        () => TrustedProxies.make(["10.0.0.0/8", value]),
        () => Admin.layer({ trustedProxies: ["10.0.0.0/8", value] })
      ]) {
        let found: unknown
        try {
          run()
        } catch (error) {
          found = error
        }
        assert(found instanceof TrustedProxies.InvalidTrustedProxies, value)
        assert.strictEqual(found.value, value)
        assert.isNotEmpty(found.rule)
        assert.isNotEmpty(found.fix)
        assert.include(found.message, JSON.stringify(value))
      }
    }
    assert.throws(() => TrustedProxies.make(Array.from({ length: 1_001 }, () => "10.0.0.1")), /1000 at most/)
  })

  const configured = (env: Record<string, string>) =>
    Effect.provide(
      TrustedProxies.TrustedProxies,
      TrustedProxies.layerConfig.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))))
    )

  it.effect("are read from the environment", () =>
    Effect.gen(function* () {
      const read = yield* configured({ TRUSTED_PROXIES: " 10.0.0.0/8 , fd00::/8," })
      assert.isTrue(read.trusts("10.1.1.1"))
      assert.isTrue(read.trusts("fd00::1"))
      assert.isFalse(read.trusts("11.1.1.1"))
      assert.isEmpty((yield* configured({})).networks)
      assert.isEmpty((yield* configured({ TRUSTED_PROXIES: "" })).networks)
      const error = yield* Effect.flip(configured({ TRUSTED_PROXIES: "10.0.0.0/8,10.0.0.0/99" }))
      assert.strictEqual(error._tag, "InvalidTrustedProxies")
      assert.include(error.message, "10.0.0.0/99")
    })
  )
})
