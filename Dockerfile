# The agent as one static binary, with the filter inside it, and nothing else but the certificates to trust.
FROM rust:1.95.0-slim AS build
# musl-gcc compiles the little C and assembly of the TLS stack.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates musl-tools \
 && rm -rf /var/lib/apt/lists/*
# What rust-toolchain.toml asks for besides is for people who change the code.
ENV RUSTUP_TOOLCHAIN=1.95.0
# The agent's build script builds the filter for proxies, hence wasm32-wasip1.
RUN rustup target add wasm32-wasip1 "$(uname -m)-unknown-linux-musl"
WORKDIR /src
COPY . .
RUN target="$(uname -m)-unknown-linux-musl" \
 && export "CC_$(uname -m)_unknown_linux_musl=musl-gcc" \
 && cargo build --release --locked --package serin --target "$target" \
 && cp "target/$target/release/serin" /serin

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /serin /serin
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/serin"]
CMD ["controller"]
