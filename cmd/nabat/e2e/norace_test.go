//go:build !race

package e2e

// raced: this test runs under the race detector.
const raced = false
