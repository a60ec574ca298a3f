package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Head says what the journal held when it was signed.
type Head struct {
	At     time.Time `json:"at"`
	Seq    int64     `json:"seq"`    // the last line covered
	Events int64     `json:"events"` // lines up to there
	Digest string    `json:"digest"` // running digest, hex
	Sig    string    `json:"sig"`    // Ed25519 over signed(), base64
}

func (h Head) signed() []byte {
	return fmt.Appendf(nil, "nabat journal head v1\n%s\n%d\n%d\n%s\n", h.At.UTC().Format(time.RFC3339Nano), h.Seq, h.Events, h.Digest)
}

// Heads is the file of signed heads with its key, in one directory.
type Heads struct {
	dir string
	key ed25519.PrivateKey
}

const (
	headsFile = "heads.jsonl"
	keyFile   = "key"
	pubFile   = "key.pub"
)

// OpenHeads opens the directory, making it and a fresh key where there is none.
func OpenHeads(dir string) (*Heads, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit directory: %w", err)
	}
	path := filepath.Join(dir, keyFile)
	seed, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Join(dir, headsFile)); err == nil {
			return nil, fmt.Errorf("audit directory %s holds signed heads but no key: restore the key, or move the heads away", dir)
		}
		seed = make([]byte, ed25519.SeedSize)
		rand.Read(seed) // never fails, by its documentation
		if err := writeKey(path, seed); err != nil {
			return nil, fmt.Errorf("audit key: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("audit key: %w", err)
	case len(seed) != ed25519.SeedSize:
		return nil, fmt.Errorf("audit key %s has %d octets, not %d", path, len(seed), ed25519.SeedSize)
	}
	key := ed25519.NewKeyFromSeed(seed)
	pub := base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))                 //nolint:forcetypeassert // by definition
	if err := os.WriteFile(filepath.Join(dir, pubFile), []byte(pub+"\n"), 0o644); err != nil { //nolint:gosec // a public key
		return nil, fmt.Errorf("audit key: %w", err)
	}
	return &Heads{dir: dir, key: key}, nil
}

// writeKey leaves the whole key or none, whenever the power fails.
func writeKey(path string, seed []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(seed)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Append signs a head and adds it to the file, flushed to the disk.
func (h *Heads) Append(head Head) (Head, error) {
	head.At = head.At.UTC().Truncate(time.Microsecond)
	head.Sig = base64.StdEncoding.EncodeToString(ed25519.Sign(h.key, head.signed()))
	line, err := json.Marshal(head)
	if err != nil {
		return head, err
	}
	path := filepath.Join(h.dir, headsFile)
	if err := cutTorn(path); err != nil {
		return head, fmt.Errorf("audit heads: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return head, fmt.Errorf("audit heads: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return head, fmt.Errorf("audit heads: %w", err)
	}
	return head, nil
}

// Restart puts the file of heads aside and begins an empty one. The old file
// keeps its heads under a name of its own.
func (h *Heads) Restart(now time.Time) error {
	path := filepath.Join(h.dir, headsFile)
	err := os.Rename(path, path+"."+now.UTC().Format("20060102T150405Z"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("audit heads: %w", err)
	}
	return nil
}

// Fingerprint names the key by which heads are signed, to be kept elsewhere.
func (h *Heads) Fingerprint() string {
	sum := sha256.Sum256(h.key.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // by definition
	return hex.EncodeToString(sum[:8])
}

// cutTorn removes what a crash left of an unfinished last line.
func cutTorn(path string) error {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if whole := bytes.LastIndexByte(body, '\n') + 1; whole < len(body) {
		return os.Truncate(path, int64(whole))
	}
	return nil
}

// Read returns every head, oldest first. A line that is torn (the last one,
// after a crash) is left out; one whose signature is wrong is an error.
func (h *Heads) Read() ([]Head, error) {
	f, err := os.Open(filepath.Join(h.dir, headsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("audit heads: %w", err)
	}
	defer f.Close()
	var heads []Head
	var torn int
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if torn != 0 {
			return nil, fmt.Errorf("audit heads: line %d is damaged", torn)
		}
		var head Head
		if err := json.Unmarshal(lines.Bytes(), &head); err != nil {
			torn = n
			continue
		}
		sig, err := base64.StdEncoding.DecodeString(head.Sig)
		if err != nil || !ed25519.Verify(h.key.Public().(ed25519.PublicKey), head.signed(), sig) { //nolint:forcetypeassert // by definition
			return nil, fmt.Errorf("audit heads: the signature of line %d is wrong", n)
		}
		if last := len(heads) - 1; last >= 0 && (head.Seq < heads[last].Seq || head.At.Before(heads[last].At.Add(-time.Minute))) {
			return nil, fmt.Errorf("audit heads: line %d goes back", n)
		}
		heads = append(heads, head)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("audit heads: %w", err)
	}
	return heads, nil
}

// running is the digest over the hashes of lines in the order of the journal.
type running struct {
	seq, events int64
	digest      [32]byte
}

func (r *running) add(seq int64, hash [32]byte) {
	h := sha256.New()
	h.Write(r.digest[:])
	h.Write(hash[:])
	h.Sum(r.digest[:0])
	r.seq = seq
	r.events++
}

func (r *running) head(at time.Time) Head {
	return Head{At: at, Seq: r.seq, Events: r.events, Digest: hex.EncodeToString(r.digest[:])}
}

func resume(h Head) (running, error) {
	r := running{seq: h.Seq, events: h.Events}
	n, err := hex.Decode(r.digest[:], []byte(h.Digest))
	if err != nil || n != len(r.digest) {
		return r, fmt.Errorf("audit heads: digest %q is not 32 octets in hex", h.Digest)
	}
	return r, nil
}
