/**
 * @since 0.1.0
 */
export * as Admin from "./Admin.ts"
export * as AdminApi from "./AdminApi.ts"
export * as AdminClient from "./AdminClient.ts"
export * as AdminError from "./AdminError.ts"
export * as AdminHandlers from "./AdminHandlers.ts"
export * as AdminKeys from "./AdminKeys.ts"
export * as AdminServer from "./AdminServer.ts"
export * as Audit from "./Audit.ts"
export * as Commands from "./Commands.ts"
export * as ConfigurationShapes from "./ConfigurationShapes.ts"
export * as EventStreams from "./EventStreams.ts"
export * as TrustedProxies from "./TrustedProxies.ts"
