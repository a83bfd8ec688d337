package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confine takes from the calling thread, for good, what the engine does not
// need: the network (seccomp), and every file but its own (Landlock). SQL can
// name files, URLs, buckets and programs; what analytics refuses above should
// also not work below.
//
// It restricts one thread, so the caller locks it and replaces the process image
// from it: a process that is started by a restricted thread is restricted whole.
// (go-landlock would restrict all threads, through a libc hook that a program
// with a libc loaded by hand does not have.)
//
// Where the kernel has one of the two not, the other still holds; what was had
// is returned as words for the log.
func confine(dir, lib, exe string) (string, error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return "", fmt.Errorf("give up new privileges: %w", err)
	}
	var had []string
	switch abi, err := landlock(dir, lib, exe); {
	case err == nil:
		had = append(had, fmt.Sprintf("other files (landlock %d)", abi))
	case !errors.Is(err, errUnsupported):
		return "", fmt.Errorf("confine to %s: %w", dir, err)
	}
	switch err := denyNetwork(); {
	case err == nil:
		had = append(had, "network (seccomp)")
	case !errors.Is(err, errUnsupported):
		return "", fmt.Errorf("take the network away: %w", err)
	}
	if len(had) == 0 {
		return "nothing", nil
	}
	return strings.Join(had, ", "), nil
}

var errUnsupported = errors.New("not supported by this kernel")

// Access rights of Landlock's ABI 5, and how many of them each older ABI knows
// (Documentation/userspace-api/landlock.rst).
const (
	readFiles  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	runFiles   = readFiles | unix.LANDLOCK_ACCESS_FS_EXECUTE
	writeFiles = readFiles | (1<<16-1)&^unix.LANDLOCK_ACCESS_FS_EXECUTE
	fileOnly   = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

func landlockRights(abi int) uint64 {
	switch {
	case abi >= 5:
		return 1<<16 - 1
	case abi >= 3:
		return 1<<15 - 1
	case abi == 2:
		return 1<<14 - 1
	default:
		return 1<<13 - 1
	}
}

// landlock lets the thread see its folder, the library, the program itself and
// the few system files that libc and the engine read.
func landlock(dir, lib, exe string) (int, error) {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || int(version) < 1 {
		return 0, errUnsupported
	}
	abi := int(version)
	handled := landlockRights(abi)
	attr := unix.LandlockRulesetAttr{Handled_access_fs: handled}
	size := unsafe.Sizeof(attr.Handled_access_fs)
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return 0, fmt.Errorf("make a ruleset: %w", errno)
	}
	defer unix.Close(int(fd))
	rules := map[uint64][]string{
		writeFiles: {dir, "/dev/null", "/dev/shm"},
		runFiles:   {exe, lib, "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store"},
		readFiles: {"/proc", "/sys", "/dev/urandom", "/dev/random", "/dev/zero", "/usr/share/zoneinfo", "/etc/localtime",
			"/etc/timezone", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/nsswitch.conf", "/etc/os-release"},
	}
	for rights, paths := range rules {
		for _, path := range paths {
			if err := allow(int(fd), path, rights&handled); err != nil {
				return 0, err
			}
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return 0, fmt.Errorf("restrict: %w", errno)
	}
	return abi, nil
}

// allow adds one path; one that is not there needs no rule.
func allow(ruleset int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileOnly
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("allow %s: %w", path, errno)
	}
	return nil
}

// x32 is the bit of the second system call table that amd64 kernels may have.
const x32 = 0x40000000

// denyNetwork makes socket(2) fail. The listener was opened by the parent, and
// what it accepts goes on working. io_uring is denied with it, because it makes
// sockets without system calls of their own; ptrace and its kin, because they
// reach what other processes of the user may do.
func denyNetwork() error {
	if runtime.GOARCH != "amd64" {
		return errUnsupported
	}
	denied := []uint32{unix.SYS_SOCKET, unix.SYS_CONNECT, unix.SYS_IO_URING_SETUP, unix.SYS_PTRACE,
		unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_BPF}
	const (
		offsetNr, offsetArch = 0, 4 // in struct seccomp_data
	)
	stmt := func(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }
	jump := func(code uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: code, K: k, Jt: yes, Jf: no}
	}
	deny := stmt(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ERRNO|uint32(unix.EACCES))
	program := []unix.SockFilter{
		stmt(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offsetArch),
		jump(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, unix.AUDIT_ARCH_X86_64, 1, 0),
		deny,
		stmt(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offsetNr),
		jump(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, x32, 0, 1),
		deny,
	}
	for _, nr := range denied {
		program = append(program, jump(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, nr, 0, 1), deny)
	}
	program = append(program, stmt(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW))
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	switch errno {
	case 0:
		return nil
	case unix.ENOSYS, unix.EINVAL:
		return errUnsupported
	default:
		return fmt.Errorf("install the filter: %w", errno)
	}
}

// selfPath is the program's file, which must stay readable for the second start.
func selfPath() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return filepath.EvalSymlinks(exe)
}
