package pgserver

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
)

// AccessFile is where a data directory keeps its database's passwords.
const AccessFile = "postgres.json"

// Names inside every embedded cluster.
const (
	adminRole = "nabat_admin"
	ownerRole = "nabat_owner"
	roleName  = "nabat"
	database  = "nabat"
)

// access is the content of AccessFile.
type access struct {
	Admin         string `json:"admin"`
	AdminPassword string `json:"admin_password"`
	Owner         string `json:"owner"`
	OwnerPassword string `json:"owner_password"`
	Role          string `json:"role"`
	RolePassword  string `json:"role_password"`
	Database      string `json:"database"`
}

// loadAccess reads the passwords, or makes them the first time; made says which.
func loadAccess(data string) (a access, made bool, err error) {
	path := filepath.Join(data, AccessFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		a = access{
			Admin: adminRole, AdminPassword: rand.Text(),
			Owner: ownerRole, OwnerPassword: rand.Text(),
			Role: roleName, RolePassword: rand.Text(), Database: database,
		}
		return a, true, WritePrivate(path, a)
	}
	if err != nil {
		return a, false, err
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, false, fmt.Errorf("%s: %w", path, err)
	}
	if a.AdminPassword == "" || a.RolePassword == "" {
		return a, false, fmt.Errorf("%s holds no passwords; remove it to have new ones made", path)
	}
	if a.Owner == "" || a.OwnerPassword == "" { // made when one role did both
		a.Owner, a.OwnerPassword = ownerRole, rand.Text()
		return a, false, WritePrivate(path, a)
	}
	return a, false, nil
}

// WritePrivate puts v into a file that only we may read and that is whole or
// absent, whenever the power goes.
func WritePrivate(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func dsn(host string, port int, user, password, db string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(user, password),
		Host:     net.JoinHostPort(host, strconv.Itoa(port)),
		Path:     "/" + db,
		RawQuery: "sslmode=disable", // loopback
	}
	return u.String()
}
