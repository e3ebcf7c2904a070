# Builds and installs the C library (shared and static, with headers, pkg-config and CMake files), the two programs with their man pages and
# the shells' completions, and the documents.
#
#   make                            builds everything (needs cargo and a C compiler)
#   make install PREFIX=/usr/local  installs the built files; doesn't run cargo, so `sudo make install` works without it
#   make uninstall PREFIX=…         removes the installed files
#
# `make install` runs ldconfig if it may, so that programs find the library. Otherwise it prints the commands that are missing.
#
# DESTDIR is prepended to every installed path, and `make install` then doesn't run ldconfig. LIBDIR, INCLUDEDIR, BINDIR, MANDIR, DOCDIR,
# BASHDIR, ZSHDIR and FISHDIR override the directories below PREFIX. The full program is in libexec beside BINDIR, where the small program
# looks for it. The version is read from Cargo.toml, and the ABI number from
# include/keyferry.h. `make install` runs the built program `keyferry` for the completions; if it was built for another machine, set
# COMPLETER to one that runs here.

PREFIX = /usr/local
LIBDIR = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include
BINDIR = $(PREFIX)/bin
# The small program looks for the full one here, from its own directory.
FULL_DIR = $(BINDIR)/../libexec/keyferry
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/keyferry
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/site-functions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
DESTDIR =

CARGO = cargo
PROFILE = release
CARGO_TARGET_DIR ?= target
LIBRARY_DIR = $(CARGO_TARGET_DIR)/$(PROFILE)
PROGRAM_DIR = $(CARGO_TARGET_DIR)/$(PROFILE)
# A later `cargo build` overwrites the small program in PROGRAM_DIR with a dynamically linked one, so the one to install has its own
# directory.
HELPER_DIR = $(CARGO_TARGET_DIR)/$(PROFILE)/static
COMPLETER = $(PROGRAM_DIR)/keyferry
INSTALL = install

CARGO_FLAGS = --locked $(if $(filter release,$(PROFILE)),--release)
# git starts the small program for every fetch, and scripts start it for every header. It is linked statically, because dynamic linking
# would take as long as its own work. Static linking needs a static libc (libc.a).
HELPER_FLAGS := $(if $(filter /%,$(shell $(CC) -print-file-name=libc.a)),-C target-feature=+crt-static)

package_field = $(shell sed -n 's/^$(1) = "\(.*\)"$$/\1/p' Cargo.toml | head -n 1)
VERSION := $(call package_field,version)
DESCRIPTION := $(call package_field,description)
ABI := $(shell sed -n 's/^.define KEYFERRY_ABI_VERSION \([0-9][0-9]*\)$$/\1/p' include/keyferry.h)

# The libraries that a program needs in addition to libkeyferry.a, as printed by: `cargo rustc --lib --crate-type staticlib -- --print native-static-libs`
STATIC_LIBS = -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc

SHARED = libkeyferry.so.$(VERSION)
SONAME = libkeyferry.so.$(ABI)
HEADERS = keyferry.h keyferry.hpp keyferry_plugin.h
# Both are the same small file. It starts the full program, $(FULL_DIR)/keyferry, for the requests that it can't serve itself.
PROGRAMS = keyferry git-credential-keyferry
COMMAND_PAGES = $(notdir $(wildcard install/man/*.1))
FILE_PAGES = $(notdir $(wildcard install/man/*.5))
# README.md and the documents in docs/ link to each other, so the directories stay as they are.
DOCUMENTS = README.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE $(wildcard docs/*.md docs/images/*.svg)
PKGCONFIG = $(LIBDIR)/pkgconfig/keyferry.pc
CMAKE_DIR = $(LIBDIR)/cmake/Keyferry
CMAKE_FILES = KeyferryConfig.cmake KeyferryConfigVersion.cmake

ifeq ($(and $(VERSION),$(ABI)),)
$(error cannot read the version in Cargo.toml or the ABI number in include/keyferry.h)
endif

# Fills in a template from install/ and writes it to its installed path.
define fill
sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' \
    -e 's|@VERSION@|$(VERSION)|g' -e 's|@ABI@|$(ABI)|g' -e 's|@DESCRIPTION@|$(DESCRIPTION)|g' \
    -e 's|@STATIC_LIBS@|$(STATIC_LIBS)|g' install/$(1).in > '$(DESTDIR)$(2)'
chmod 644 '$(DESTDIR)$(2)'
endef

# Writes the completion script of a shell to its installed path.
define complete
'$(COMPLETER)' completions $(1) > '$(DESTDIR)$(2)'
chmod 644 '$(DESTDIR)$(2)'
endef

.PHONY: all install uninstall

all:
	$(if $(HELPER_FLAGS),,@echo 'warning: no static libc (libc.a) found, so keyferry and git-credential-keyferry are linked dynamically and start slower; install it' >&2)
	$(CARGO) build --package keyferry --lib $(CARGO_FLAGS)
	$(CARGO) build --package keyferry-cli --bin keyferry $(CARGO_FLAGS)
	$(CARGO) rustc --package keyferry-cli --bin git-credential-keyferry $(CARGO_FLAGS) -- $(HELPER_FLAGS)
	mkdir -p '$(HELPER_DIR)'
	cp '$(PROGRAM_DIR)/git-credential-keyferry' '$(HELPER_DIR)/git-credential-keyferry'

install:
	@for file in '$(LIBRARY_DIR)/libkeyferry.so' '$(LIBRARY_DIR)/libkeyferry.a' '$(PROGRAM_DIR)/keyferry' '$(HELPER_DIR)/git-credential-keyferry'; do \
	    test -f "$$file" || { echo "cannot find $$file; run make first" >&2; exit 1; }; \
	done
	$(INSTALL) -d '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(CMAKE_DIR)' '$(DESTDIR)$(INCLUDEDIR)' '$(DESTDIR)$(BINDIR)' \
	    '$(DESTDIR)$(FULL_DIR)' '$(DESTDIR)$(MANDIR)/man1' '$(DESTDIR)$(MANDIR)/man5' '$(DESTDIR)$(DOCDIR)/docs/images' \
	    '$(DESTDIR)$(BASHDIR)' '$(DESTDIR)$(ZSHDIR)' '$(DESTDIR)$(FISHDIR)'
	$(INSTALL) -m 755 '$(LIBRARY_DIR)/libkeyferry.so' '$(DESTDIR)$(LIBDIR)/$(SHARED)'
	ln -sf '$(SHARED)' '$(DESTDIR)$(LIBDIR)/$(SONAME)'
	ln -sf '$(SONAME)' '$(DESTDIR)$(LIBDIR)/libkeyferry.so'
	$(INSTALL) -m 644 '$(LIBRARY_DIR)/libkeyferry.a' '$(DESTDIR)$(LIBDIR)/libkeyferry.a'
	for header in $(HEADERS); do \
	    $(INSTALL) -m 644 "include/$$header" '$(DESTDIR)$(INCLUDEDIR)'/"$$header" || exit 1; \
	done
	$(INSTALL) -m 755 '$(PROGRAM_DIR)/keyferry' '$(DESTDIR)$(FULL_DIR)/keyferry'
	$(INSTALL) -m 755 '$(HELPER_DIR)/git-credential-keyferry' '$(DESTDIR)$(BINDIR)/git-credential-keyferry'
	ln -f '$(DESTDIR)$(BINDIR)/git-credential-keyferry' '$(DESTDIR)$(BINDIR)/keyferry'
	for page in $(COMMAND_PAGES); do \
	    $(INSTALL) -m 644 "install/man/$$page" '$(DESTDIR)$(MANDIR)/man1'/"$$page" || exit 1; \
	done
	for page in $(FILE_PAGES); do \
	    $(INSTALL) -m 644 "install/man/$$page" '$(DESTDIR)$(MANDIR)/man5'/"$$page" || exit 1; \
	done
	for document in $(DOCUMENTS); do \
	    $(INSTALL) -m 644 "$$document" '$(DESTDIR)$(DOCDIR)'/"$$document" || exit 1; \
	done
	$(call complete,bash,$(BASHDIR)/keyferry)
	$(call complete,zsh,$(ZSHDIR)/_keyferry)
	$(call complete,fish,$(FISHDIR)/keyferry.fish)
	$(call fill,keyferry.pc,$(PKGCONFIG))
	$(call fill,KeyferryConfig.cmake,$(CMAKE_DIR)/KeyferryConfig.cmake)
	$(call fill,KeyferryConfigVersion.cmake,$(CMAKE_DIR)/KeyferryConfigVersion.cmake)
	$(if $(DESTDIR),,@install/finish '$(BINDIR)' '$(INCLUDEDIR)' '$(LIBDIR)' '$(SONAME)')

uninstall:
	cd '$(DESTDIR)$(LIBDIR)' && rm -f '$(SHARED)' '$(SONAME)' libkeyferry.so libkeyferry.a
	cd '$(DESTDIR)$(INCLUDEDIR)' && rm -f $(HEADERS)
	rm -f '$(DESTDIR)$(FULL_DIR)/keyferry'
	-rmdir '$(DESTDIR)$(FULL_DIR)'
	cd '$(DESTDIR)$(BINDIR)' && rm -f $(PROGRAMS)
	cd '$(DESTDIR)$(MANDIR)/man1' && rm -f $(COMMAND_PAGES)
	cd '$(DESTDIR)$(MANDIR)/man5' && rm -f $(FILE_PAGES)
	cd '$(DESTDIR)$(DOCDIR)' && rm -f $(DOCUMENTS)
	-cd '$(DESTDIR)$(DOCDIR)' && rmdir docs/images docs ../keyferry
	rm -f '$(DESTDIR)$(BASHDIR)/keyferry' '$(DESTDIR)$(ZSHDIR)/_keyferry' '$(DESTDIR)$(FISHDIR)/keyferry.fish'
	rm -f '$(DESTDIR)$(PKGCONFIG)'
	cd '$(DESTDIR)$(CMAKE_DIR)' && rm -f $(CMAKE_FILES)
	-rmdir '$(DESTDIR)$(CMAKE_DIR)'
