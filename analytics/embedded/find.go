package embedded

import "context"

// Find looks for the engine: at the hint, beside the binary, in the user's cache.
func Find(hint string) (string, error) { return "", errTODO }

// CacheDir is where Install puts the engine for this user.
func CacheDir() (string, error) { return "", errTODO }

// Install fetches the engine into dir (empty: CacheDir) and returns its path.
func Install(ctx context.Context, dir string, progress func(done, total int64)) (string, error) {
	return "", errTODO
}
