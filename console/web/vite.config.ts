import { defineConfig } from 'vitest/config'

// The built page must live under a policy of «everything from this host, nothing
// inline»: so no data: URLs, no inline polyfill. public/.keep goes into dist on
// each build, because Go's embed needs the folder to hold something.
export default defineConfig({
  base: './',
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    sourcemap: false,
  },
  server: {
    proxy: {
      '/api': 'http://127.0.0.1:8112',
      '/ws': { target: 'ws://127.0.0.1:8112', ws: true },
    },
  },
  test: { include: ['test/**/*.test.ts'], environment: 'node' },
})
