//! Expansions, as people would read them.

use proc_macro2::TokenStream;
use quote::quote;

fn pretty(tokens: TokenStream) -> String {
    prettyplease::unparse(&syn::parse2(tokens).expect("valid Rust"))
}

#[track_caller]
fn expands(item: TokenStream, to: &str) {
    let out = pretty(crate::model::expand(quote!(crate = d), item));
    assert_eq!(out.trim(), to.trim(), "\n{out}");
}

fn errors(item: TokenStream) -> String {
    crate::model::expand(TokenStream::new(), item).to_string()
}

#[test]
fn calls_get_steps_and_formats_are_converted() {
    expands(
        quote! {
            pub fn attention<P: Plan>(w: &Attention<P>, x: &Tensor<P::Act>) -> Product<P::Act, P::Weight> {
                let (q, k, v): (Tensor<P::Act>, Tensor<P::Act>, Tensor<P::Value>) =
                    join!(linear(x, &w.query), linear(x, &w.key), linear(x, &w.value));
                let scores = matmul_t(&q.split_heads(w.heads), &k.split_heads(w.heads));
                let context: Tensor<P::Act> = softmax_attend(&scores, &v.split_heads(w.heads));
                linear(&context.merge_heads(), &w.output)
            }
        },
        r#"
#[allow(clippy::type_complexity)]
pub fn attention<E: d::__macro::Engine, P: Plan>(
    ctx: &d::__macro::Ctx<'_, E>,
    w: &Attention<E, P>,
    x: &Tensor<E, P::Act>,
) -> d::__macro::Result<Product<E, P::Act, P::Weight>> {
    let (q, k, v): (Tensor<E, P::Act>, Tensor<E, P::Act>, Tensor<E, P::Value>) = ctx
        .join3(
            (
                "q",
                |ctx| ::core::result::Result::Ok(
                    d::__macro::Rescale::<
                        E,
                        Tensor<E, P::Act>,
                    >::rescale(
                        linear(&ctx.step("linear")?, x, &w.query)?,
                        ctx,
                        "rescale",
                    )?,
                ),
            ),
            (
                "k",
                |ctx| ::core::result::Result::Ok(
                    d::__macro::Rescale::<
                        E,
                        Tensor<E, P::Act>,
                    >::rescale(linear(&ctx.step("linear")?, x, &w.key)?, ctx, "rescale")?,
                ),
            ),
            (
                "v",
                |ctx| ::core::result::Result::Ok(
                    d::__macro::Rescale::<
                        E,
                        Tensor<E, P::Value>,
                    >::rescale(
                        linear(&ctx.step("linear")?, x, &w.value)?,
                        ctx,
                        "rescale",
                    )?,
                ),
            ),
        )?;
    let scores = matmul_t(
        &ctx.step("scores.matmul_t")?,
        &q.split_heads(w.heads)?,
        &k.split_heads(w.heads)?,
    )?;
    let context: Tensor<E, P::Act> = d::__macro::Rescale::<
        E,
        Tensor<E, P::Act>,
    >::rescale(
        softmax_attend(
            &ctx.step("context.softmax_attend")?,
            &scores,
            &v.split_heads(w.heads)?,
        )?,
        ctx,
        "context.rescale",
    )?;
    ::core::result::Result::Ok(
        linear(&ctx.step("linear")?, &context.merge_heads()?, &w.output)?,
    )
}
"#,
    );
}

#[test]
fn loops_have_passes_and_operators_traits() {
    expands(
        quote! {
            fn stack(layers: &[Linear<A, A>], x: Tensor<A>, n: usize) -> Tensor<A> {
                let mut x = x;
                for layer in layers {
                    x = linear(&x, layer) + &x;
                }
                for i in 0..n {
                    assert!(i + 1 <= n);
                }
                if n > 2 { &x * &x } else { x }
            }
        },
        r#"
#[allow(clippy::type_complexity)]
fn stack<E: d::__macro::Engine>(
    ctx: &d::__macro::Ctx<'_, E>,
    layers: &[Linear<E, A, A>],
    x: Tensor<E, A>,
    n: usize,
) -> d::__macro::Result<Tensor<E, A>> {
    let mut x = x;
    for (pass, layer) in ::core::iter::Iterator::enumerate(
        ::core::iter::IntoIterator::into_iter(layers),
    ) {
        let ctx = &ctx.index("layer", pass)?;
        x = d::__macro::Rescale::<
            E,
            _,
        >::rescale(
            d::__macro::Plus::<
                E,
                _,
            >::plus(linear(&ctx.step("x.linear")?, &x, layer)?, &x, ctx)?,
            ctx,
            "x.rescale",
        )?;
    }
    for i in 0..n {
        assert!(i + 1 <= n);
    }
    ::core::result::Result::Ok(
        if n > 2 {
            d::__macro::Rescale::<
                E,
                Tensor<E, A>,
            >::rescale(
                d::__macro::Times::<E, _>::times(&x, &x, ctx, "mul")?,
                ctx,
                "rescale",
            )?
        } else {
            d::__macro::Rescale::<E, Tensor<E, A>>::rescale(x, ctx, "rescale.2")?
        },
    )
}
"#,
    );
}

#[test]
fn escapes_are_left_alone() {
    expands(
        quote! {
            fn escape(x: &Tensor<A>, #[public] config: &Config) -> Tensor<A> {
                let n = public!(config.sizes.iter().map(|s| s + 1).max());
                protocol!(|ctx| masked(ctx, x, n))
            }
        },
        r#"
#[allow(clippy::type_complexity)]
fn escape<E: d::__macro::Engine>(
    ctx: &d::__macro::Ctx<'_, E>,
    x: &Tensor<E, A>,
    config: &Config,
) -> d::__macro::Result<Tensor<E, A>> {
    let n = (config.sizes.iter().map(|s| s + 1).max());
    ::core::result::Result::Ok(
        d::__macro::Rescale::<
            E,
            Tensor<E, A>,
        >::rescale(
            d::__macro::by_hand(&ctx.step("protocol")?, |ctx| masked(ctx, x, n))?,
            ctx,
            "rescale",
        )?,
    )
}
"#,
    );
}

#[test]
fn methods_of_one_impl_call_each_other() {
    expands(
        quote! {
            impl<F: Fixed> Block<F> {
                fn once(&self, x: &Tensor<F>) -> Tensor<F> {
                    linear(x, &self.inner)
                }
                fn twice(&self, x: &Tensor<F>) -> Tensor<F> {
                    self.once(&self.once(x))
                }
            }
        },
        r#"
impl<E: d::__macro::Engine, F: Fixed> Block<E, F> {
    #[allow(clippy::type_complexity)]
    fn once(
        &self,
        ctx: &d::__macro::Ctx<'_, E>,
        x: &Tensor<E, F>,
    ) -> d::__macro::Result<Tensor<E, F>> {
        ::core::result::Result::Ok(
            d::__macro::Rescale::<
                E,
                Tensor<E, F>,
            >::rescale(linear(&ctx.step("linear")?, x, &self.inner)?, ctx, "rescale")?,
        )
    }
    #[allow(clippy::type_complexity)]
    fn twice(
        &self,
        ctx: &d::__macro::Ctx<'_, E>,
        x: &Tensor<E, F>,
    ) -> d::__macro::Result<Tensor<E, F>> {
        ::core::result::Result::Ok(
            d::__macro::Rescale::<
                E,
                Tensor<E, F>,
            >::rescale(
                self.once(&ctx.step("once")?, &self.once(&ctx.step("once.2")?, x)?)?,
                ctx,
                "rescale",
            )?,
        )
    }
}
"#,
    );
}

#[test]
fn passes_run_side_by_side() {
    expands(
        quote! {
            fn branches(w: &Branches, x: &Tensor<A>) -> Tensor<A> {
                let all: Vec<Tensor<A>> = join!(for (i, branch) in w.branches.iter().enumerate() {
                    let y = branch.forward(x);
                    y * x
                });
                concat(&all, 1)
            }
        },
        r#"
#[allow(clippy::type_complexity)]
fn branches<E: d::__macro::Engine>(
    ctx: &d::__macro::Ctx<'_, E>,
    w: &Branches<E>,
    x: &Tensor<E, A>,
) -> d::__macro::Result<Tensor<E, A>> {
    let all: Vec<Tensor<E, A>> = ctx
        .join_items(
            "branch",
            w.branches.iter().enumerate(),
            |(i, branch), ctx| {
                let y = branch.forward(&ctx.step("y.forward")?, x)?;
                ::core::result::Result::Ok(
                    d::__macro::Rescale::<
                        E,
                        Tensor<E, A>,
                    >::rescale(
                        d::__macro::Times::<E, _>::times(y, x, ctx, "mul")?,
                        ctx,
                        "rescale",
                    )?,
                )
            },
        )?;
    ::core::result::Result::Ok(
        d::__macro::Rescale::<
            E,
            Tensor<E, A>,
        >::rescale(concat(&ctx.step("concat")?, &all, 1)?, ctx, "rescale")?,
    )
}
"#,
    );
}

#[test]
fn types_in_bounds_and_paths_get_the_engine() {
    expands(
        quote! {
            fn with<P: Plan, F>(f: F, cache: &mut Cache<P>, x: &Tensor<P::Act>)
            where
                F: Fn(&Tensor<P::Act>) -> Tensor<P::Act>,
                Cache<P>: Clone,
                P::Act: Fixed<Ring = Z<32>>,
            {
                let y = f(x);
                *cache = Cache::<P> { last: Some(y), seen: vec![relu::<P::Act>(x)] };
            }
        },
        r#"
#[allow(clippy::type_complexity)]
fn with<E: d::__macro::Engine, P: Plan, F>(
    ctx: &d::__macro::Ctx<'_, E>,
    f: F,
    cache: &mut Cache<E, P>,
    x: &Tensor<E, P::Act>,
) -> d::__macro::Result<()>
where
    F: Fn(
        &d::__macro::Ctx<'_, E>,
        &Tensor<E, P::Act>,
    ) -> d::__macro::Result<Tensor<E, P::Act>>,
    Cache<E, P>: Clone,
    P::Act: Fixed<Ring = Z<32>>,
{
    let y = f(&ctx.step("y.f")?, x)?;
    *cache = d::__macro::Rescale::<
        E,
        _,
    >::rescale(
        Cache::<E, P> {
            last: Some(y),
            seen: ::std::vec![relu:: < E, P::Act > (& ctx.step("relu") ?, x) ?],
        },
        ctx,
        "rescale",
    )?;
    ::core::result::Result::Ok(())
}
"#,
    );
}

#[test]
fn errors_stand_in_their_places_and_the_rest_stays() {
    let out = errors(quote! {
        fn bad(x: &Tensor<A>, layers: &[Linear<A, A>]) -> Tensor<A> {
            let y = x.foo();
            while true {}
            let z = linear(x, layers.first().map(|l| l))?;
            for layer in layers {
                if linear(x, layer) { continue; }
                let kept: Tensor<A> = linear(&z, layer);
                let (p, q): (Tensor<A>, Tensor<A>) = join!(linear(&z, layer), z.);
            }
            matmul(&y, async { z })
        }
    });
    assert_eq!(out.matches("compile_error").count(), 7, "{out}");
    for kept in [
        "fn bad < E",
        "let _ = linear (& ctx . step (\"linear\") ?",
        "ctx . join ((\"p\" , | ctx |",
        "layers : & [Linear < E , A , A >]",
        "let y = ({ let _ = x ; :: core :: compile_error ! (",
        "linear (& ctx . step (\"z.linear\") ?",
        "for (pass , layer) in",
        "let kept : Tensor < E , A > = ",
        "matmul (& ctx . step (\"matmul\") ? , & y , :: core :: compile_error ! (",
    ] {
        assert!(out.contains(kept), "{kept} is not in\n{out}");
    }
    // It is Rust that an editor can work on.
    syn::parse_str::<syn::File>(&out).expect("valid Rust");
}

#[test]
fn a_function_that_cannot_be_read_keeps_what_can() {
    let out = errors(quote! {
        pub fn typing<P: Plan>(w: &Layer<P>, x: &Tensor<P::Act>) -> Tensor<P::Act> {
            let a: Tensor<P::Act> = linear(x, &w.first);
            let b = a +;
            for i in 0..3 { checks(&a) }
            let c = w.;
            relu(&a)
        }
    });
    assert_eq!(out.matches("compile_error").count(), 2, "{out}");
    for kept in
        ["pub fn typing < E : ", "w : & Layer < E , P >", "let a : Tensor < E , P :: Act > =", "relu (& ctx"]
    {
        assert!(out.contains(kept), "{kept} is not in\n{out}");
    }
    let file = syn::parse_str::<syn::File>(&out).expect("valid Rust");
    let function = file.items.iter().any(|i| matches!(i, syn::Item::Fn(f) if f.block.stmts.len() >= 3));
    assert!(function, "{out}");
}

#[test]
fn an_interface_with_errors_keeps_the_body() {
    let out = errors(quote! {
        async unsafe extern "C" fn bad(ctx: usize, x: &Tensor<A>, f: impl Sized) -> Result<Tensor<A>> {
            linear(x, f)
        }
    });
    assert_eq!(out.matches("compile_error").count(), 6, "{out}");
    assert!(
        out.contains("fn bad < E")
            && !out.contains("async unsafe")
            && out.contains("Result < Tensor < E , A > >")
            && out.contains("linear (& ctx"),
        "{out}"
    );
}

/// Every text of the macros is shown by a compile-fail test, so that a reader of these tests sees what authors see.
#[test]
fn every_message_has_a_compile_fail_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tests/ui");
    let shown: String = std::fs::read_dir(folder)
        .expect("the folder of compile-fail tests")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "stderr"))
        .map(|path| std::fs::read_to_string(path).expect("readable"))
        .collect();
    let errors: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    let missing: Vec<&str> = crate::messages::ALL
        .iter()
        .filter(|(_, text)| {
            let mut parts = text.split("{}");
            let first = parts.next().unwrap_or_default();
            let others: Vec<&str> = parts.collect();
            !errors.iter().any(|e| e.starts_with(first) && others.iter().all(|part| e.contains(part)))
        })
        .map(|(name, _)| *name)
        .collect();
    assert!(missing.is_empty(), "no file in tests/tests/ui shows {missing:?}");
}

/// A message names a remedy: it does not end with what is wrong.
#[test]
fn messages_are_told_apart_and_have_a_second_half() {
    for (i, (name, text)) in crate::messages::ALL.iter().enumerate() {
        assert!(text.contains(';') || text.contains(':') || text.starts_with("write"), "{name}: {text}");
        assert!(crate::messages::ALL[..i].iter().all(|(_, other)| other != text), "{name} is a twin");
    }
}

#[test]
fn weights_are_loaded_by_name() {
    let out = pretty(crate::weights::expand(quote! {
        #[weights(config = Config, crate = d)]
        struct Encoder<E: Engine, P: Plan> {
            #[weights(name = "layer", count = config.layers, with = config.layer(index))]
            layers: Vec<Layer<E, P>>,
            #[weights(when = config.pooled)]
            pooler: Option<Pooler<E, P>>,
            norm: LayerNorm<E, P::Norm, P::Norm>,
            #[weights(value = config.heads)]
            heads: usize,
        }
    }));
    let to = r#"
#[automatically_derived]
impl<E: Engine, P: Plan> d::__macro::Weights<E> for Encoder<E, P> {
    type Config = Config;
    fn load<S: d::__macro::WeightSource<E>>(
        scope: &d::__macro::Scope<'_, S>,
        config: &Self::Config,
    ) -> d::__macro::Result<Self> {
        let _ = (scope, config);
        ::core::result::Result::Ok(Self {
            layers: ::core::iter::Iterator::collect::<
                d::__macro::Result<_>,
            >(
                ::core::iter::Iterator::map(
                    0..(config.layers),
                    |index: usize| <Layer<
                        E,
                        P,
                    > as d::__macro::Weights<
                        E,
                    >>::load(
                        &scope
                            .pp("layer")
                            .pp(&::std::string::ToString::to_string(&index)),
                        &(config.layer(index)),
                    ),
                ),
            )?,
            pooler: if config.pooled {
                ::core::option::Option::Some(
                    <Pooler<
                        E,
                        P,
                    > as d::__macro::Weights<E>>::load(&scope.pp("pooler"), config)?,
                )
            } else {
                ::core::option::Option::None
            },
            norm: <LayerNorm<
                E,
                P::Norm,
                P::Norm,
            > as d::__macro::Weights<E>>::load(&scope.pp("norm"), config)?,
            heads: config.heads,
        })
    }
}
"#;
    assert_eq!(out.trim(), to.trim(), "\n{out}");
}
