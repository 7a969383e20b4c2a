// Unpacks the browser that the package carries, its libraries and its fonts, by the package's
// own means: it does so below os.tmpdir().

import { copyFile, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import chromium, { inflate } from "@sparticuz/chromium";

const here = fileURLToPath(new URL(".", import.meta.url));
const packed = join(here, "node_modules/@sparticuz/chromium/bin");
const unpacked = join(here, "node_modules/.unpacked");

const folder = await mkdtemp(`${unpacked}-`);
process.env.TMPDIR = folder;
await chromium.executablePath(packed);
// It leaves out its libraries where it does not run on Amazon's system.
await inflate(join(packed, "al2023.tar.br"));
// By this one sees that the browser is the one which the lock file names.
await copyFile(join(here, "package-lock.json"), join(folder, "package-lock.json"));

// Whoever finds the folder finds it whole.
await rm(unpacked, { recursive: true, force: true });
await rename(folder, unpacked);
