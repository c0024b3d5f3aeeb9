//! Wrappers of stores, tables and leases say what they do otherwise, and forward the rest.

/// Forwards these methods of a store, a table or leases to a field: `forward!(inner: tables remove close);`.
macro_rules! forward {
    ($inner:tt: $($method:ident)*) => {
        $(forward!(@$method $inner);)*
    };
    (@kind $inner:tt) => {
        fn kind(&self) -> &'static str {
            self.$inner.kind()
        }
    };
    (@capabilities $inner:tt) => {
        fn capabilities(&self) -> ::restow::store::Capabilities {
            self.$inner.capabilities()
        }
    };
    (@open $inner:tt) => {
        fn open<'a>(
            &'a self,
            spec: &'a ::restow::store::TableSpec,
        ) -> ::restow::BoxFuture<'a, ::restow::Result<::std::sync::Arc<dyn ::restow::store::Table>>> {
            self.$inner.open(spec)
        }
    };
    (@tables $inner:tt) => {
        fn tables(&self) -> ::restow::BoxFuture<'_, ::restow::Result<Vec<::restow::store::TableSpec>>> {
            self.$inner.tables()
        }
    };
    (@remove $inner:tt) => {
        fn remove<'a>(&'a self, table: &'a ::restow::store::TableName) -> ::restow::BoxFuture<'a, ::restow::Result<bool>> {
            self.$inner.remove(table)
        }
    };
    (@secret $inner:tt) => {
        fn secret(&self) -> ::restow::BoxFuture<'_, ::restow::Result<[u8; 32]>> {
            self.$inner.secret()
        }
    };
    (@adopt_secret $inner:tt) => {
        fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> ::restow::BoxFuture<'a, ::restow::Result<bool>> {
            self.$inner.adopt_secret(secret)
        }
    };
    (@leases $inner:tt) => {
        fn leases(&self) -> Option<::std::sync::Arc<dyn ::restow::store::Leases>> {
            self.$inner.leases()
        }
    };
    (@changes $inner:tt) => {
        fn changes(&self) -> Option<::restow::BoxStream<'static, ::restow::store::Change>> {
            self.$inner.changes()
        }
    };
    (@trim $inner:tt) => {
        fn trim(&self, most: ::restow::store::Budget, limit: u64) -> ::restow::BoxFuture<'_, ::restow::Result<::restow::store::Trimmed>> {
            self.$inner.trim(most, limit)
        }
    };
    (@commit $inner:tt) => {
        fn commit(&self) -> ::restow::BoxFuture<'_, ::restow::Result<()>> {
            self.$inner.commit()
        }
    };
    (@health $inner:tt) => {
        fn health(&self) -> Option<::restow::store::Health> {
            self.$inner.health()
        }
    };
    (@memory_policy $inner:tt) => {
        fn memory_policy(&self) -> ::restow::BoxFuture<'_, ::restow::Result<Option<::restow::store::MemoryPolicy>>> {
            self.$inner.memory_policy()
        }
    };
    (@close $inner:tt) => {
        fn close(&self) -> ::restow::BoxFuture<'_, ::restow::Result<()>> {
            self.$inner.close()
        }
    };
    (@spec $inner:tt) => {
        fn spec(&self) -> &::restow::store::TableSpec {
            self.$inner.spec()
        }
    };
    (@read_latest $inner:tt) => {
        fn read_latest<'a>(
            &'a self,
            at: &'a ::restow::entry::Address,
            parts: ::restow::store::Parts,
            now: ::restow::Millis,
        ) -> ::restow::Answer<'a, ::restow::Result<::restow::entry::Found>> {
            self.$inner.read_latest(at, parts, now)
        }
    };
    (@read $inner:tt) => {
        fn read<'a>(&'a self, at: &'a ::restow::entry::Address, parts: ::restow::store::Parts, now: ::restow::Millis) -> ::restow::Answer<'a, ::restow::Result<::restow::entry::Found>> {
            self.$inner.read(at, parts, now)
        }
    };
    (@read_many $inner:tt) => {
        fn read_many<'a>(&'a self, at: &'a [::restow::entry::Address], parts: ::restow::store::Parts, now: ::restow::Millis) -> ::restow::Answer<'a, ::restow::Result<Vec<::restow::entry::Found>>> {
            self.$inner.read_many(at, parts, now)
        }
    };
    (@read_many_latest $inner:tt) => {
        fn read_many_latest<'a>(&'a self, at: &'a [::restow::entry::Address], parts: ::restow::store::Parts, now: ::restow::Millis) -> ::restow::Answer<'a, ::restow::Result<Vec<::restow::entry::Found>>> {
            self.$inner.read_many_latest(at, parts, now)
        }
    };
    (@write $inner:tt) => {
        fn write<'a>(&'a self, entries: &'a [::restow::store::Write], now: ::restow::Millis) -> ::restow::Answer<'a, ::restow::Result<()>> {
            self.$inner.write(entries, now)
        }
    };
    (@renew $inner:tt) => {
        fn renew<'a>(&'a self, renewals: &'a [::restow::store::Renewal], now: ::restow::Millis) -> ::restow::Answer<'a, ::restow::Result<u64>> {
            self.$inner.renew(renewals, now)
        }
    };
    (@delete $inner:tt) => {
        fn delete<'a>(&'a self, at: &'a [::restow::entry::Address], now: ::restow::Millis) -> ::restow::Answer<'a, ::restow::Result<u64>> {
            self.$inner.delete(at, now)
        }
    };
    (@count $inner:tt) => {
        fn count<'a>(&'a self, which: &'a ::restow::Selection, now: ::restow::Millis) -> ::restow::Answer<'a, ::restow::Result<u64>> {
            self.$inner.count(which, now)
        }
    };
    (@clear $inner:tt) => {
        fn clear<'a>(&'a self, which: &'a ::restow::Selection, limit: u64, now: ::restow::Millis) -> ::restow::Answer<'a, ::restow::Result<u64>> {
            self.$inner.clear(which, limit, now)
        }
    };
    (@sweep $inner:tt) => {
        fn sweep(&self, limit: u64, now: ::restow::Millis) -> ::restow::Answer<'_, ::restow::Result<u64>> {
            self.$inner.sweep(limit, now)
        }
    };
    (@scan $inner:tt) => {
        fn scan<'a>(&'a self, which: &'a ::restow::Selection, parts: ::restow::store::Parts, now: ::restow::Millis) -> ::restow::BoxStream<'a, ::restow::Result<::std::sync::Arc<::restow::entry::Entry>>> {
            self.$inner.scan(which, parts, now)
        }
    };
    (@pending_columns $inner:tt) => {
        fn pending_columns(&self) -> ::restow::Answer<'_, ::restow::Result<Vec<Box<str>>>> {
            self.$inner.pending_columns()
        }
    };
    (@columns_filled $inner:tt) => {
        fn columns_filled<'a>(&'a self, columns: &'a [Box<str>]) -> ::restow::Answer<'a, ::restow::Result<()>> {
            self.$inner.columns_filled(columns)
        }
    };
    (@stats $inner:tt) => {
        fn stats(&self, now: ::restow::Millis) -> ::restow::Answer<'_, ::restow::Result<::restow::store::Stats>> {
            self.$inner.stats(now)
        }
    };
    (@partitions $inner:tt) => {
        fn partitions(&self, now: ::restow::Millis) -> ::restow::Answer<'_, ::restow::Result<Vec<(::restow::entry::Partition, u64)>>> {
            self.$inner.partitions(now)
        }
    };
    (@foreign_changes $inner:tt) => {
        fn foreign_changes(&self) -> Option<u64> {
            self.$inner.foreign_changes()
        }
    };
    (@acquire $inner:tt) => {
        fn acquire<'a>(&'a self, table: &'a ::restow::store::TableName, at: &'a ::restow::entry::Address, hold: ::std::time::Duration, now: ::restow::Millis) -> ::restow::BoxFuture<'a, ::restow::Result<::restow::store::Lease>> {
            self.$inner.acquire(table, at, hold, now)
        }
    };
    (@renew_lease $inner:tt) => {
        fn renew<'a>(&'a self, table: &'a ::restow::store::TableName, at: &'a ::restow::entry::Address, fence: ::restow::store::Fence, hold: ::std::time::Duration, now: ::restow::Millis) -> ::restow::BoxFuture<'a, ::restow::Result<bool>> {
            self.$inner.renew(table, at, fence, hold, now)
        }
    };
    (@release $inner:tt) => {
        fn release<'a>(&'a self, table: &'a ::restow::store::TableName, at: &'a ::restow::entry::Address, fence: ::restow::store::Fence) -> ::restow::BoxFuture<'a, ::restow::Result<()>> {
            self.$inner.release(table, at, fence)
        }
    };
}
