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
    let (q, k, v): (Tensor<E, P::Act>, Tensor<E, P::Act>, Tensor<E, P::Value>) = {
        let (branch0, (branch1, branch2)) = ctx
            .join(
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
                    "k+v",
                    |ctx| {
                        ctx
                            .join(
                                (
                                    "k",
                                    |ctx| ::core::result::Result::Ok(
                                        d::__macro::Rescale::<
                                            E,
                                            Tensor<E, P::Act>,
                                        >::rescale(
                                            linear(&ctx.step("linear")?, x, &w.key)?,
                                            ctx,
                                            "rescale",
                                        )?,
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
                            )
                    },
                ),
            )?;
        (branch0, branch1, branch2)
    };
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
fn all_errors_come_at_once_next_to_the_function() {
    let out = errors(quote! {
        fn bad(x: &Tensor<A>) -> Tensor<A> {
            let y = x.foo();
            while true {}
            y
        }
    });
    assert_eq!(out.matches("compile_error").count(), 2);
    assert!(out.contains("fn bad < E"), "{out}");
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
