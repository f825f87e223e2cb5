/** What this process was started with: the only place of the package that reads its variables. */
/** The variables of this process, from which proxies and certificate authorities of the host are inherited. */
export const hostVariables: Readonly<Record<string, string | undefined>> = process.env;
