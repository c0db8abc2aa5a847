# A template: manifests/packages/fill writes version, address and digests.
class Serin < Formula
  desc "Progressive delivery in an Istio mesh, and in front of plain Envoys"
  homepage "@HOMEPAGE@"
  version "@VERSION@"
  license "Apache-2.0"

  on_linux do
    on_intel do
      url "@BASE_URL@/serin-linux-amd64.tar.gz"
      sha256 "@SHA256_LINUX_AMD64@"
    end
    on_arm do
      url "@BASE_URL@/serin-linux-arm64.tar.gz"
      sha256 "@SHA256_LINUX_ARM64@"
    end
  end

  on_macos do
    on_intel do
      url "@BASE_URL@/serin-darwin-amd64.tar.gz"
      sha256 "@SHA256_DARWIN_AMD64@"
    end
    on_arm do
      url "@BASE_URL@/serin-darwin-arm64.tar.gz"
      sha256 "@SHA256_DARWIN_ARM64@"
    end
  end

  def install
    bin.install "serin"
    # kubectl takes it for a plugin of its own by this name.
    bin.install_symlink "serin" => "kubectl-serin"
    generate_completions_from_executable(bin/"serin", "completions")
    (man1/"serin.1").write Utils.safe_popen_read(bin/"serin", "man")
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/serin --version")
    assert_match "releases.serin.dev", shell_output("#{bin}/serin crd")
  end
end
